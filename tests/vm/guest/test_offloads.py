"""VLANs and bonds beside native XDP: tags are made to be seen, programs in the way are found."""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.conftest import eventually
from tests.kernel.rig import raw_socket, rules
from tests.vm.guest.stage import HEAD, Stage, parsed
from xdpctl.apply import run
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.program import Flavour, load
from xdpctl.datapath.report import report
from xdpctl.errors import ConflictError
from xdpctl.host.offloads import Ethtool
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.xdp import NO_PROGRAM, set_xdp
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

TAGS = ("tx-vlan-hw-insert", "tx-vlan-stag-hw-insert")
DRV_MODE, SKB_MODE = 1 << 2, 1 << 1
POLICY = """
policies:
  guard: {rules: [{name: seven, match: {vlan.id: 7}, action: drop}]}
"""
NIC = "eth1: {kind: physical, state: up, xdp: {mode: native, policy: guard}}\n"
BOND = "bond0: {kind: bond, mode: active-backup, miimon: 100, ports: [eth1, eth2], state: up"
ON_A_BOND = BOND + ", xdp: {mode: native, policy: guard}}\n"
UPPER = BOND + "}\nvlan7: {kind: vlan, parent: bond0, id: 7, state: up}\n"


def are_on(stage: Stage, device: str) -> list[bool]:
    with Ethtool() as ethtool:
        index = socket.if_nametoindex(device)
        found = ethtool.offloads([index])[index]
    return [found.is_on(name) for name in TAGS]


def seven(root: str) -> int:
    observed = run.observe("edge")
    return rules(report(observed.host, observed.live)["devices"][root])["seven"]


def vlan_on(stage: Stage, far: str) -> str:
    """A VLAN on the far end: its frames have their tag beside the data where the end takes that."""
    stage.netns.without_ipv6()
    stage.netns.ip("link", "add", "tagged", "link", far, "type", "vlan", "id", "7")
    stage.netns.ip("link", "set", "tagged", "up")
    return "tagged"


def met(root: str, device: str, count: int = 5) -> int:
    before = seven(root)
    with raw_socket(device) as sender:
        for _ in range(count):
            sender.send(bytes.fromhex("ffffffffffff02aaaaaaaaaa88b5") + b"x" * 46)
    eventually(lambda: seven(root) - before >= count, 2)
    return seven(root) - before


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_frames_of_a_vlan_device_are_seen_with_their_tag(stage: Stage, mode: str) -> None:
    tagged = vlan_on(stage, "far-eth1")
    apply(NIC.replace("native", mode), POLICY)
    assert are_on(stage, "far-eth1") == [False, False]
    assert met("eth1", tagged) == 5
    stage.netns.run("ethtool", "-K", "far-eth1", "txvlan", "on")
    assert met("eth1", tagged) == 0
    run.destroy("edge")
    assert are_on(stage, "far-eth1") == [True, True]


def whole(devices: str, more: str) -> Topology:
    """A topology of these devices alone."""
    return load_texts({"stack.yaml": HEAD + textwrap.indent(devices, "  ") + more})


def apply(devices: str, more: str) -> None:
    """Apply, and see that a plan afterwards is empty."""
    topology = whole(devices, more)
    assert run.apply(topology).applied
    assert not run.plan(topology)[0].changed


def test_a_vlan_above_is_enough_where_the_root_is_native(stage: Stage) -> None:
    plain = POLICY.replace("vlan.id: 7", "udp.dport: 7")
    apply(NIC, plain)
    assert are_on(stage, "far-eth1") == [True, True]
    apply(NIC + "vlan7: {kind: vlan, parent: eth1, id: 7, state: up}\n", plain)
    assert are_on(stage, "far-eth1") == [False, False]
    apply(NIC, plain)
    assert are_on(stage, "far-eth1") == [True, True]
    run.destroy("edge")


def test_each_port_of_a_bond_is_an_entrance(stage: Stage) -> None:
    tagged = vlan_on(stage, "far-eth1")
    stage.apply(ON_A_BOND, POLICY)
    for far in ("far-eth1", "far-eth2"):
        assert are_on(stage, far) == [False, False]
    assert are_on(stage, "far-eth3") == [True, True]
    assert met("bond0", tagged) == 5
    stage.netns.ip("link", "delete", tagged)
    stage.destroy()
    assert are_on(stage, "far-eth1") == [True, True]


# --- programs in the way


@contextmanager
def program_on(device: str, flags: int) -> Iterator[None]:
    asm = Assembler()
    asm.mov(R0, 2)
    asm.exit()
    index = socket.if_nametoindex(device)
    with load(asm.assemble(), Flavour.XDP, "theirs") as loaded, Rtnl() as rtnl:
        rtnl.request(set_xdp(index, loaded.fd, flags), "attach")
        yield
        rtnl.request(set_xdp(index, NO_PROGRAM, flags), "detach")


@pytest.mark.parametrize("flags", [DRV_MODE, SKB_MODE])
@pytest.mark.parametrize("there", [True, False])
def test_a_program_on_a_port(stage: Stage, there: bool, flags: int) -> None:
    """Of a bond that is to have one, be the port in it or about to enter."""
    if there:
        stage.apply(BOND + "}\n")
    with (
        program_on("eth2", flags),
        pytest.raises(
            ConflictError,
            match=r"eth2, a port of bond0, has an XDP program that is not ours.*"
            "Slave has XDP program loaded, please unload before enslaving.",
        ),
    ):
        run.plan(parsed(ON_A_BOND, POLICY))
    stage.apply(ON_A_BOND, POLICY)
    stage.destroy()


def test_a_program_on_a_vlan_above_a_bond(stage: Stage) -> None:
    stage.apply(UPPER)
    with (
        program_on("vlan7", SKB_MODE),
        pytest.raises(
            ConflictError,
            match=r"vlan7, above bond0, has .*Cannot attach when an upper device already",
        ),
    ):
        run.plan(parsed(UPPER.replace("up}", "up, xdp: {mode: native, policy: guard}}", 1), POLICY))
    stage.destroy()


def test_a_program_on_somebodys_bond_above_the_root(stage: Stage) -> None:
    stage.netns.ip("link", "add", "theirs", "type", "bond", "mode", "active-backup")
    stage.netns.ip("link", "set", "eth1", "master", "theirs")
    with (
        program_on("theirs", DRV_MODE),
        pytest.raises(
            ConflictError,
            match=r"theirs, above eth1, has .*Cannot attach when an upper device already",
        ),
    ):
        run.plan(whole(NIC, POLICY))
    stage.netns.ip("link", "delete", "theirs")
