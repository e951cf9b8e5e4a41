"""What XDP needs of devices beside their links: switched before it runs, and back in the end."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fault.scenes import snapshot
from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import BROADCAST, Rig, command, raw_socket, rules, udp_frame
from tests.kernel.rig import pins as pins_of
from tests.kernel.test_actions import caught, passing
from xdpctl.apply import carry_out, run
from xdpctl.bpf.asm import R0, R2, R3, Assembler
from xdpctl.bpf.program import Flavour, load
from xdpctl.datapath.report import report
from xdpctl.errors import ApplyError, VerifyError
from xdpctl.host import clsact
from xdpctl.host.offloads import Ethtool, Offloads
from xdpctl.host.rtnl import Rtnl
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

BPF_SKB_VLAN_PUSH = 18
TAGS = ("tx-vlan-hw-insert", "tx-vlan-stag-hw-insert")
TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, state: up, xdp: {mode: native, policy: guard}}
  out0: {kind: veth, peer: out1, state: up}
  out1: {kind: veth, peer: out0, state: up}
policies:
  guard:
    rules:
      - {name: seven, match: {vlan.id: 7}, action: drop}
      - {name: away, match: {udp.dport: 9001}, action: count}
"""
REDIRECTING = TEXT.replace("action: count", "action: {redirect: out0}")
CONTAINERS = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, state: up}
  c[1-3]: {kind: veth, peer: "p[1-3]", parent: eth0, deliver: redirect, state: up,
           address: {base: "02:00:00:00:01:00"}, xdp: {policy: guard}}
policies:
  guard: {rules: [{name: seven, match: {udp.dport: 7}, action: drop}]}
"""
UNTAGGED = TEXT.replace("vlan.id: 7", "udp.dport: 7")
"""No policy looks at tags."""


@pytest.fixture
def near(netns: Netns) -> Iterator[Netns]:
    """A NIC whose wire is in the same namespace, where it can be switched."""
    netns.without_ipv6()
    netns.ip("link", "add", "eth0", "type", "veth", "peer", "name", "wire")
    for device in ("eth0", "wire"):
        netns.ip("link", "set", device, "up")
    yield netns
    with netns.entered():
        run.destroy("edge", missing_ok=True)


def features(netns: Netns, device: str) -> Offloads:
    with netns.entered(), Ethtool() as ethtool:
        index = socket.if_nametoindex(device)
        return ethtool.offloads([index])[index]


def are_on(netns: Netns, device: str, names: tuple[str, ...] = TAGS) -> list[bool]:
    found = features(netns, device)
    return [found.is_on(name) for name in names]


def apply(netns: Netns, text: str) -> run.Applied:
    with netns.entered():
        done = run.apply(load_texts({"topo.yaml": text}))
        assert not run.plan(load_texts({"topo.yaml": text}))[0].changed
        return done


def shown(done: run.Applied) -> dict[str, dict[str, Any]]:
    """The changes of features, by device: from, to."""
    found: dict[str, dict[str, Any]] = {}
    for action in done.plan.actions:
        for name, change in action.changes.items():
            if "-" in name:
                found.setdefault(action.device, {})[name] = (change.before, change.after)
    return found


def ethtool(netns: Netns, device: str, feature: str, state: str) -> None:
    netns.run("ethtool", "-K", device, feature, state)


# --- the reader and writer


def test_they_are_what_ethtool_says(near: Netns) -> None:
    found = features(near, "eth0")
    told = dict(re.findall(r"^\t?([\w-]+): (o\w+(?: \[fixed\])?)", near.run(
        "ethtool", "-k", "eth0").stdout, re.MULTILINE))  # fmt: skip
    alike = [name for name in found.names if name in told]
    assert len(alike) > 20
    for name in alike:
        state = "on" if found.is_on(name) else "off"
        assert told[name] == state + (" [fixed]" if found.is_fixed(name) else ""), name


def test_several_at_once_and_one_that_is_gone(near: Netns) -> None:
    with near.entered(), Ethtool() as opened:
        indexes = [socket.if_nametoindex(name) for name in ("eth0", "wire", "lo")]
        assert opened.offloads([*indexes, 9999]).keys() == set(indexes)


def test_switched_by_name(near: Netns) -> None:
    with near.entered(), Ethtool() as opened:
        index = socket.if_nametoindex("wire")
        opened.switch(index, {"tx-vlan-hw-insert": False, "rx-gro": True, "rx-lro": True}, "try")
    assert are_on(near, "wire", ("tx-vlan-hw-insert", "rx-gro")) == [False, True]
    assert not features(near, "wire").is_on("rx-lro")  # fixed: the kernel does not say so
    assert "tx-vlan-offload: off" in near.run("ethtool", "-k", "wire").stdout


# --- tags


@contextmanager
def tagging(netns: Netns, device: str) -> Iterator[None]:
    """A program at the device's egress gives every frame the tag 7, beside its data: so does a VLAN
    on a device that has tx-vlan-hw-insert.
    """
    asm = Assembler()
    asm.mov(R2, 0x81)  # 802.1Q in network order
    asm.mov(R3, 7)
    asm.call(BPF_SKB_VLAN_PUSH)
    asm.mov(R0, 0)
    asm.exit()
    with load(asm.assemble(), Flavour.TC, "tagging") as loaded, netns.entered(), Rtnl() as rtnl:
        index = socket.if_nametoindex(device)
        rtnl.request(clsact.add_qdisc(index), "add clsact")
        rtnl.request(clsact.add_filter(index, loaded.fd, clsact.EGRESS), "add a filter")
        yield
        rtnl.request(clsact.delete_qdisc(index), "remove clsact")


def met(netns: Netns, count: int = 5) -> int:
    """Sends frames on the wire; how many of them the rule for VLAN 7 meets."""
    with netns.entered():
        before = seven()
        with raw_socket("wire") as sender:
            for _ in range(count):
                sender.send(udp_frame(BROADCAST, 9, daddr="10.0.0.255", saddr="10.0.0.9"))
        eventually(lambda: seven() - before >= count, 0.5)
        return seven() - before


def seven() -> int:
    observed = run.observe("edge")
    devices = report(observed.host, observed.live)["devices"]
    return rules(devices["eth0"])["seven"]


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_tags_are_made_to_be_seen(near: Netns, mode: str) -> None:
    with tagging(near, "wire"):
        done = apply(near, TEXT.replace("native", mode))
        assert shown(done)["wire"] == dict.fromkeys(TAGS, ("on", "off"))
        assert met(near) == 5
        ethtool(near, "wire", "txvlan", "on")
        assert met(near) == 0
        done = apply(near, TEXT.replace("native", mode))
        assert shown(done) == {"wire": {"tx-vlan-hw-insert": ("on", "off")}}
        assert met(near) == 5


def test_a_second_apply_does_nothing_and_destroy_switches_back(near: Netns) -> None:
    assert apply(near, TEXT).applied
    assert not apply(near, TEXT).applied
    assert are_on(near, "wire") == [False, False]
    with near.entered():
        run.destroy("edge")
    assert are_on(near, "wire") == [True, True]
    assert pins_of(near) == []


def test_back_when_no_policy_looks_at_tags_any_more(near: Netns) -> None:
    apply(near, TEXT)
    done = apply(near, UNTAGGED)
    assert shown(done) == {"wire": dict.fromkeys(TAGS, ("off", "on"))}
    assert are_on(near, "wire") == [True, True]
    assert "offloads" not in " ".join(pins_of(near))


def test_what_somebody_has_switched_stays(near: Netns) -> None:
    """Before: it was no affair of ours. After: it is no longer."""
    ethtool(near, "wire", "tx-vlan-stag-hw-insert", "off")
    apply(near, TEXT)
    ethtool(near, "wire", "txvlan", "on")
    with near.entered():
        run.destroy("edge")
    assert are_on(near, "wire") == [True, False]
    assert pins_of(near) == []


def test_an_end_in_another_namespace_is_for_the_user(rig: Rig) -> None:
    made = rig.plan(TEXT)
    assert [note for note in made.notes if "tx-vlan-hw-insert is off there" in note]
    assert not [note for note in rig.plan(UNTAGGED).notes if "hw-insert" in note]
    rig.apply(TEXT)
    assert are_on(rig.wire, "wire") == [True, True]


def test_many_ends_that_are_for_the_user_are_one_sentence(rig: Rig) -> None:
    for number in (1, 2, 3):
        end = ("peer", "name", f"p{number}", "netns", rig.wire.name)
        rig.nic.ip("link", "add", f"c{number}", "type", "veth", *end)
        rig.nic.ip("link", "set", f"c{number}", "alias", "xdpctl:edge")
    notes = [note for note in rig.plan(CONTAINERS).notes if "checksum" in note]
    assert notes == [
        "the other ends of eth0 and 3 more are in other network namespaces: see to it that "
        "tx-checksum-ip-generic is off there (a frame that XDP redirects has the checksum that it "
        "came with)"
    ]


def test_the_plan_says_it(near: Netns, tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(TEXT)
    told = command(near, "plan", str(file)).stdout
    assert re.search(
        r"~ update wire  # XDP sees no tag that this end .*\n +tx-vlan-hw-insert += on -> off", told
    )
    document = json.loads(command(near, "-o", "json", "plan", str(file)).stdout)
    (action,) = [one for one in document["actions"] if one["device"] == "wire"]
    assert action["op"] == "update"
    assert action["changes"]["tx-vlan-hw-insert"] == {"from": "on", "to": "off"}


# --- redirects into veths


@pytest.mark.parametrize("there", [True, False])
def test_the_other_end_of_a_target_gets_gro(near: Netns, there: bool) -> None:
    """A pair that is there, and one that the same run makes."""
    if there:
        apply(near, UNTAGGED)
    text = REDIRECTING.replace("vlan.id: 7", "udp.dport: 7")
    done = apply(near, text)
    assert shown(done) == {"out1": {"rx-gro": ("off" if there else None, "on")}}
    frame = udp_frame(BROADCAST, 9001, daddr="10.0.0.255", saddr="10.0.0.9")
    with caught(near, "out1") as arrived, near.entered(), raw_socket("wire") as sender:
        for _ in range(5):
            sender.send(frame)
    assert arrived.count(frame) == 5
    apply(near, UNTAGGED)
    assert are_on(near, "out1", ("rx-gro",)) == [False]


def test_a_program_at_the_other_end_will_do(near: Netns) -> None:
    apply(near, UNTAGGED)
    with passing(near, "out1"):
        done = apply(near, REDIRECTING)
        assert "out1" not in shown(done)


# --- what fails


def test_all_is_switched_back_where_the_run_fails(
    near: Netns, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(near), features(near, "wire")

    def verify(again: object) -> None:
        assert are_on(near, "wire") == [False, False]
        raise VerifyError("sabotaged")

    monkeypatch.setattr(carry_out, "verify", verify)
    with near.entered(), pytest.raises(ApplyError, match="everything done before was undone"):
        run.apply(load_texts({"topo.yaml": REDIRECTING}))
    assert (snapshot(near), features(near, "wire")) == before
    assert pins_of(near) == []


def test_what_was_forgotten_in_vain_is_remembered(
    near: Netns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """out1 goes with out0, and comes back with GRO on, to be switched off some day."""
    apply(near, REDIRECTING)

    def verify(again: object) -> None:
        raise VerifyError("sabotaged")

    with monkeypatch.context() as patch, near.entered():
        patch.setattr(carry_out, "verify", verify)
        with pytest.raises(ApplyError, match="everything done before was undone"):
            run.destroy("edge")
        assert not run.plan(load_texts({"topo.yaml": REDIRECTING}))[0].changed
    assert are_on(near, "out1", ("rx-gro",)) == [True]
    apply(near, UNTAGGED)
    assert are_on(near, "out1", ("rx-gro",)) == [False]
    assert are_on(near, "wire") == [True, True]


def test_a_driver_that_keeps_a_feature_is_found_out(
    near: Netns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ethtool, "switch", lambda *_: None)
    with (
        near.entered(),
        pytest.raises(
            ApplyError,
            match="its driver keeps tx-vlan-hw-insert on and tx-vlan-stag-hw-insert on; eve",
        ),
    ):
        run.apply(load_texts({"topo.yaml": TEXT}))
    assert pins_of(near) == []


def test_one_that_is_fixed_is_a_note(near: Netns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Offloads, "is_fixed", lambda *_: True)
    with near.entered():
        made, _ = run.plan(load_texts({"topo.yaml": TEXT}))
    assert [note for note in made.notes if "wire: its driver keeps tx-vlan-hw-insert on" in note]
    assert "wire" not in {action.device for action in made.actions}
