"""Programs above a root: somebody else's are found when it is planned, ours step aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.conftest import eventually
from tests.kernel.rig import OPPOSITE, WEB, Rig, rules
from xdpctl.apply import carry_out, run
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.program import Flavour, load
from xdpctl.errors import ApplyError, ConflictError, VerifyError
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.xdp import NO_PROGRAM, set_xdp

pytestmark = pytest.mark.kernel

SKB_MODE = 1 << 1
SAID = (
    r"^topo.yaml:4:3: theirs, above eth0, has an XDP program that is not ours: theirs \(id \d+\), "
    r'attached over netlink; the kernel would say "Cannot attach when an upper device'
)


@contextmanager
def program_on(rig: Rig, device: str) -> Iterator[None]:
    """A generic program that passes everything, attached over netlink as iproute2 does."""
    asm = Assembler()
    asm.mov(R0, 2)
    asm.exit()
    index = int(rig.nic.json("link", "show", device)[0]["ifindex"])
    with load(asm.assemble(), Flavour.XDP, "theirs") as loaded, rig.nic.entered(), Rtnl() as rtnl:
        rtnl.request(set_xdp(index, loaded.fd, SKB_MODE), "attach")
        yield
        rtnl.request(set_xdp(index, NO_PROGRAM, SKB_MODE), "detach")


@pytest.fixture
def above(rig: Rig) -> str:
    """A macvlan of somebody's on the NIC."""
    rig.nic.ip("link", "add", "theirs", "link", "eth0", "type", "macvlan", "mode", "bridge")
    rig.nic.ip("link", "set", "theirs", "up")
    return "theirs"


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_program_above_a_root_is_a_conflict(rig: Rig, above: str, mode: str) -> None:
    text = OPPOSITE.replace("physical}", f"physical, xdp: {{mode: {mode}}}}}")
    with program_on(rig, above), pytest.raises(ConflictError, match=SAID) as told:
        rig.plan(text)
    assert told.value.hint == "take it off first: `ip link set DEVICE xdp off`"
    assert rig.apply(text).applied


def test_one_that_came_later_is_none_until_the_mode_changes(rig: Rig, above: str) -> None:
    rig.apply(OPPOSITE)
    with program_on(rig, above):
        assert rig.apply(OPPOSITE.replace("9000", "9005")).applied
        with pytest.raises(ConflictError, match=SAID):
            rig.plan(OPPOSITE.replace("physical}", "physical, xdp: {mode: generic}}"))
        rig.destroy()


BRIDGED = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, state: up, xdp: {mode: native, policy: first}}
  br0: {kind: bridge, ports: [eth0], state: up, address: "02:00:00:00:00:10",
        xdp: {mode: generic, policy: second}}
policies:
  first: {rules: [{name: one, match: {udp.dport: 9001}, action: drop}]}
  second: {rules: [{name: two, match: {udp.dport: 9002}, action: drop}]}
"""
PLAIN = BRIDGED.replace(", xdp: {mode: native, policy: first}", "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BRIDGED, BRIDGED.replace("native", "generic")),
        (PLAIN, BRIDGED),
        (BRIDGED, PLAIN.replace("        xdp: {mode: generic, policy: second}", "")),
    ],
    ids=["another mode", "a program of its own", "all go"],
)
def test_ours_above_steps_aside(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    rig.apply(first)
    before = attached(rig)
    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "verify", failing)
        with pytest.raises(ApplyError, match="everything done before was undone"):
            rig.apply(second)
    assert attached(rig) == before
    rig.apply(second)
    assert [one.summary() for one in rig.plan(second).operations] == []
    rig.listen("br0", (9000, 9001, 9002))
    assert eventually(lambda: arrive(rig))
    for port in (9000, 9001, 9002):
        rig.send("02:00:00:00:00:10", port, for_="br0", count=3)
    passed = [9000] + [9001] * ("first}" not in second) + [9002] * ("second}" not in second)
    assert rig.received() == {("br0", port): 3 for port in passed}


def failing(*_: object) -> None:
    raise VerifyError("the host is not what was asked for")


def attached(rig: Rig) -> dict[str, tuple[int, str]]:
    with rig.nic.entered():
        links = run.observe("edge").host.links
    return {link.name: (link.xdp.program_id, link.xdp.mode) for link in links if link.xdp}


def arrive(rig: Rig) -> bool:
    """Whether the bridge takes frames by now."""
    rig.send("02:00:00:00:00:10", 9000, for_="br0", count=1)
    return bool(rig.received())


GUEST = """\
version: 1
name: edge
devices:
  mv0: {kind: physical, xdp: {policy: own}}
policies:
  own: {default: pass, rules: [{name: no, match: {udp.dport: 9000}, action: drop}]}
"""


def test_a_macvlan_as_the_root(rig: Rig) -> None:
    """As it is to who lives in a container: of its XDP link the kernel tells nobody."""
    rig.nic.ip("link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge")
    rig.nic.ip("link", "set", "mv0", "address", WEB, "up")
    rig.apply(GUEST)
    rig.send(WEB, 9000)
    assert eventually(lambda: rules(rig.show()["mv0"])["no"] == 5)
    edited = GUEST.replace("9000", "[9000, 9001]")
    for text in (edited, edited.replace("own}", "own, enabled: false}"), edited):
        rig.apply(text)
        assert not rig.plan(text).changed
    rig.send(WEB, 9001)
    assert eventually(lambda: rules(rig.show()["mv0"])["no"] == 5)
    rig.destroy()
    assert "xdp" not in rig.nic.json("link", "show", "mv0")[0]
    with program_on(rig, "mv0"):
        with pytest.raises(ConflictError, match="mv0 already has an XDP program that is not ours"):
            rig.apply(GUEST)
        rig.apply(GUEST, take_over=True)
        assert not rig.plan(GUEST).changed
        rig.destroy()
