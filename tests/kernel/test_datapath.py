"""The invariant: every frame that reaches a device has met its policy exactly once."""

from __future__ import annotations

import socket

import pytest

from tests.kernel.conftest import eventually
from tests.kernel.rig import (
    BROADCAST,
    DB,
    MULTICAST,
    OPPOSITE,
    STRANGER,
    WEB,
    Rig,
    raw_socket,
    rules,
    verdicts,
)
from xdpctl.bpf import links, program
from xdpctl.bpf.asm import R0, R1, R2, R3, R4, R6, Assembler, W
from xdpctl.datapath.layout import METADATA
from xdpctl.datapath.marks import DATA, DATA_META, FN_ADJUST_META
from xdpctl.datapath.measure import XDP_PASS
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.xdp import set_xdp

pytestmark = pytest.mark.kernel

ROOT = "02:00:00:00:00:01"

MODES = OPPOSITE.replace("{kind: physical}", "{kind: physical, xdp: {mode: MODE}}")


@pytest.fixture(params=["native", "generic"])
def opposite(rig: Rig, request: pytest.FixtureRequest) -> Rig:
    """Two macvlans with opposite policies, on a root of either mode."""
    rig.apply(MODES.replace("MODE", request.param))
    for device in ("web0", "db0"):
        rig.listen(device)
    assert rig.show()["eth0"]["xdp"]["mode"] == request.param
    return rig


def counted(rig: Rig) -> dict[str, dict[str, int]]:
    """Packets by verdict of each macvlan, less what the kernel itself sent when they came up."""
    shown = rig.show()
    return {name: verdicts(shown[name]) for name in ("web0", "db0")}


def change(before: dict[str, dict[str, int]], rig: Rig) -> dict[str, dict[str, int]]:
    after = counted(rig)
    return {
        name: {
            verdict: after[name].get(verdict, 0) - before[name].get(verdict, 0)
            for verdict in ("pass", "drop")
        }
        for name in after
    }


def test_unicast_from_the_wire_meets_each_devices_own_policy(opposite: Rig) -> None:
    before = counted(opposite)
    for port in (9000, 9001):
        opposite.send(WEB, port, for_="web0")
        opposite.send(DB, port, for_="db0", count=7)
    assert opposite.received() == {("web0", 9000): 5, ("db0", 9001): 7}
    assert change(before, opposite) == {
        "web0": {"pass": 5, "drop": 5},
        "db0": {"pass": 7, "drop": 7},
    }


@pytest.mark.parametrize("group", [BROADCAST, MULTICAST])
def test_flooded_frames_meet_every_devices_policy_once(opposite: Rig, group: str) -> None:
    before = counted(opposite)
    opposite.send(group, 9000, count=3)
    opposite.send(group, 9001, count=4)
    assert opposite.received() == {("web0", 9000): 3, ("db0", 9001): 4}
    assert change(before, opposite) == {
        "web0": {"pass": 3, "drop": 4},
        "db0": {"pass": 4, "drop": 3},
    }


@pytest.mark.parametrize("forged", [DB, ROOT, WEB, "02:aa:aa:aa:aa:aa"])
def test_a_siblings_unicast_meets_the_policy_once(opposite: Rig, forged: str) -> None:
    """Whatever source address the sibling writes into it."""
    before = counted(opposite)
    opposite.send(WEB, 9000, by="db0", for_="web0", source=forged, count=6)
    opposite.send(WEB, 9001, by="db0", for_="web0", source=forged, count=2)
    assert opposite.received() == {("web0", 9000): 6}
    assert change(before, opposite)["web0"] == {"pass": 6, "drop": 2}


def test_a_siblings_broadcast_meets_the_policy_once(opposite: Rig) -> None:
    before = counted(opposite)
    opposite.send(BROADCAST, 9000, by="db0", source=DB, count=3)
    opposite.send(BROADCAST, 9001, by="db0", source=DB, count=2)
    assert opposite.received() == {("web0", 9000): 3}
    assert change(before, opposite)["web0"] == {"pass": 3, "drop": 2}


def test_the_native_hook_drops_before_the_stack_sees_a_frame(rig: Rig) -> None:
    """A packet socket on the root stands where the skb begins."""
    rig.apply(MODES.replace("MODE", "native"))
    with rig.nic.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        tap.bind(("eth0", 0))
    with tap:
        rig.send(WEB, 9001, for_="web0")
        rig.send(WEB, 9000, for_="web0", count=1)
        rig.received()
        ports = [int.from_bytes(frame[36:38], "big") for frame in sent_to(WEB, tap)]
    assert ports == [9000]


def sent_to(address: str, tap: socket.socket) -> list[bytes]:
    """The frames for this address that a packet socket has seen."""
    found: list[bytes] = []
    tap.setblocking(False)
    while True:
        try:
            found.append(tap.recv(2048))
        except BlockingIOError:
            return [frame for frame in found if frame[:6].hex(":") == address]


def test_a_mark_written_by_somebody_else_is_no_pass(opposite: Rig) -> None:
    """Metadata survives veths, bridges and macvlans, so whoever may load programs can write some
    before a sibling's frames: all of the mark that can be known is right here, but the nonce.
    """
    ifindex = opposite.show()["web0"]["ifindex"]
    tenant = opposite.nic
    for arguments in (
        "link add door type veth peer name hall",
        "link add br0 type bridge",
        "link set hall master br0",
        "link set db0 master br0",
    ):
        tenant.ip(*arguments.split())
    for device in ("door", "hall", "br0"):
        tenant.ip("link", "set", device, "up")
    assert eventually(lambda: tenant.forwards("br0"))
    with tenant.entered(), marking(ifindex) as forger, Rtnl() as rtnl:
        index = socket.if_nametoindex("hall")
        rtnl.request(set_xdp(index, forger.fd, links.XDP_FLAGS_SKB_MODE), "attach")
        opposite.senders["door"] = raw_socket("door")
    before = counted(opposite)
    opposite.send(WEB, 9001, by="door", for_="web0")
    assert opposite.received() == {}
    assert change(before, opposite)["web0"] == {"pass": 0, "drop": 5}


def marking(ifindex: int) -> program.Program:
    """A program that writes a mark for the device, as good as it can be guessed."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.mov(R2, -METADATA.size)
    asm.call(FN_ADJUST_META)
    asm.load(W, R2, R6, DATA_META)
    asm.load(W, R3, R6, DATA)
    asm.mov(R4, R2)
    asm.add(R4, METADATA.size)
    asm.jump(">", R4, R3, "out")
    asm.store(W, R2, 8, ifindex)
    asm.label("out")
    asm.mov(R0, XDP_PASS)
    asm.exit()
    return program.load(asm.assemble(), program.Flavour.XDP, "forger")


FLOOD = MODES.replace("{policy: web}", "{policy: web, flood: HOW}").replace("MODE", "auto")


@pytest.mark.parametrize(("how", "arrived"), [("pass", 5), ("drop", 0)])
def test_flood_replaces_the_policy_for_broadcast_alone(rig: Rig, how: str, arrived: int) -> None:
    rig.apply(FLOOD.replace("HOW", how))
    rig.listen("web0")
    before = verdicts(rig.show()["web0"]).get(how, 0)
    rig.send(BROADCAST, 9001)
    expected = {("web0", 9001): 5} if arrived else {}
    assert rig.received() == expected
    assert verdicts(rig.show()["web0"])[how] - before == 5
    rig.send(WEB, 9000, for_="web0")
    rig.send(WEB, 9001, for_="web0")
    assert rig.received() == {("web0", 9000): 5}


UNKNOWN = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, xdp: {unknown: HOW, policy: guard}}
  plain0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:12", state: up}
  web0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
     xdp: {policy: web}}
policies:
  guard: {rules: [{name: never, match: {udp.dport: 9001}, action: drop}]}
  web: {default: pass}
"""


@pytest.mark.parametrize("how", ["pass", "drop"])
def test_unknown_unicast(rig: Rig, how: str) -> None:
    """A stacked device without a policy and the root itself are not unknown."""
    rig.apply(UNKNOWN.replace("HOW", how))
    for device in ("eth0", "plain0", "web0"):
        rig.listen(device)
    with rig.nic.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        tap.bind(("eth0", 0))
    before = rig.show()["eth0"]["xdp"]["unknown"]["packets"]
    with tap:
        rig.send(STRANGER, 9000)
        rig.received()
        seen = sent_to(STRANGER, tap)
    assert len(seen) == (5 if how == "pass" else 0)
    assert rig.show()["eth0"]["xdp"]["unknown"]["packets"] - before == 5
    for to, device in ((ROOT, "eth0"), ("02:00:00:00:00:12", "plain0"), (WEB, "web0")):
        rig.send(to, 9000, for_=device, count=2)
    assert rig.received() == {("eth0", 9000): 2, ("plain0", 9000): 2, ("web0", 9000): 2}


def test_the_roots_policy_comes_first(rig: Rig) -> None:
    rig.apply(UNKNOWN.replace("HOW", "pass"))
    rig.listen("web0")
    before = rules(rig.show()["eth0"])["never"], verdicts(rig.show()["web0"]).get("pass", 0)
    rig.send(WEB, 9001, for_="web0", count=3)
    rig.send(WEB, 9000, for_="web0", count=4)
    rig.send(BROADCAST, 9001, count=2)
    assert rig.received() == {("web0", 9000): 4}
    shown = rig.show()
    assert rules(shown["eth0"])["never"] - before[0] == 5
    assert verdicts(shown["web0"])["pass"] - before[1] == 4


def test_enabled_false_takes_xdp_off_the_whole_stack(rig: Rig) -> None:
    text = MODES.replace("{mode: MODE}", "{enabled: true}")
    rig.apply(text)
    rig.listen("web0")
    done = rig.apply(text.replace("enabled: true", "enabled: false"))
    assert done.plan.summary == {
        "create": 0, "update": 0, "replace": 0, "delete": 0, "attach": 0, "detach": 3,
    }  # fmt: skip
    shown = rig.show()
    assert {name: each["xdp"]["mode"] for name, each in shown.items()} == {
        "eth0": "none", "web0": "none", "db0": "none",
    }  # fmt: skip
    rig.send(WEB, 9001, for_="web0")
    assert rig.received() == {("web0", 9001): 5}


def test_a_device_can_be_switched_off_alone(rig: Rig) -> None:
    text = MODES.replace("MODE", "auto")
    rig.apply(text)
    for device in ("web0", "db0"):
        rig.listen(device)
    rig.apply(text.replace("{policy: web}", "{policy: web, enabled: false}"))
    rig.send(WEB, 9001, for_="web0")
    rig.send(DB, 9000, for_="db0")
    assert rig.received() == {("web0", 9001): 5}
    rig.apply(text)
    rig.send(WEB, 9001, for_="web0")
    assert rig.received() == {}


@pytest.mark.parametrize("kind", ["macvlan", "macvtap"])
@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_every_mode_polices_unicast_and_broadcast(rig: Rig, kind: str, mode: str) -> None:
    rig.apply(f"""\
        version: 1
        name: edge
        devices:
          eth0: {{kind: physical}}
          one0: {{kind: {kind}, parent: eth0, mode: {mode}, address: "{WEB}", state: up,
                  xdp: {{policy: web}}}}
        policies:
          web: {{default: drop, rules: [{{name: only, match: {{udp.dport: 9000}}, action: pass}}]}}
    """)
    before = verdicts(rig.show()["one0"])
    for to in (WEB, BROADCAST):
        rig.send(to, 9000, count=3)
        rig.send(to, 9001, count=2)
    rig.received()
    after = verdicts(rig.show()["one0"])
    assert after.get("pass", 0) - before.get("pass", 0) == 6
    assert after.get("drop", 0) - before.get("drop", 0) == 4


def test_passthru_takes_frames_for_every_address(rig: Rig) -> None:
    rig.apply(f"""\
        version: 1
        name: edge
        devices:
          eth0: {{kind: physical}}
          one0: {{kind: macvlan, parent: eth0, mode: passthru, address: "{WEB}", state: up,
                  xdp: {{policy: web}}}}
        policies: {{web: {{default: drop}}}}
    """)
    before = verdicts(rig.show()["one0"]).get("drop", 0)
    rig.send(STRANGER, 9000)
    rig.received()
    assert verdicts(rig.show()["one0"])["drop"] - before == 5


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_jumbo_frames_are_policed_and_counted_whole(rig: Rig, mode: str) -> None:
    """Beyond a page the frame has fragments, which XDP programs see only through helpers."""
    for netns, device in ((rig.nic, "eth0"), (rig.wire, "wire")):
        netns.ip("link", "set", device, "mtu", "9000")
    rig.apply(MODES.replace("MODE", mode))
    rig.listen("web0")
    before = {rule["name"]: rule for rule in rig.show()["web0"]["xdp"]["rules"]}
    rig.send(WEB, 9000, for_="web0", count=3, payload=b"j" * 8000)
    rig.send(WEB, 9001, for_="web0", count=2, payload=b"j" * 8000)
    assert rig.received() == {("web0", 9000): 3}
    after = {rule["name"]: rule for rule in rig.show()["web0"]["xdp"]["rules"]}
    frame = 14 + 20 + 8 + 8000
    for rule, count in (("only", 3), ("default", 2)):
        assert after[rule]["packets"] - before[rule]["packets"] == count
        assert after[rule]["bytes"] - before[rule]["bytes"] == count * frame
