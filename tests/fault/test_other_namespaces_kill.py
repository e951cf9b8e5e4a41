"""Runs that put devices into other namespaces are killed at every write: the next one converges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fault.scenes import topology
from tests.fault.test_kill import killed, perform
from tests.kernel.conftest import Netns
from xdpctl.apply import run
from xdpctl.bpf import pins

pytestmark = pytest.mark.kernel

PLACED = """\
  eth0: {kind: physical, state: up}
  web0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:10", ONE, xdp: {policy: a}}
  web1: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:11", TWO, xdp: {policy: a}}
policies: {a: {default: drop, rules: [{match: {ether.type: arp}, action: pass}]}}
"""
NONE = "  eth0: {kind: physical}\n"


@pytest.mark.parametrize("way", ["come", "swap", "leave", "go"])
def test_the_next_run_converges(way: str, netns: Netns, netnses: Callable[[], Netns]) -> None:
    one, other = netnses(), netnses()
    placed = PLACED.replace("ONE", f"netns: {one.name}").replace("TWO", f"netns: {other.name}")
    swapped = PLACED.replace("ONE", f"netns: {other.name}").replace("TWO", f"netns: {one.name}")
    first = "" if way == "come" else placed
    second = {"come": placed, "swap": swapped, "leave": NONE, "go": ""}[way]
    netns.ip("link", "add", "eth0", "type", "veth", "peer", "name", "wire")
    at = -1
    with netns.entered():
        while True:
            at += 1
            if first:
                perform(first)
            died = killed(lambda: perform(second), at)
            if at % 2:
                run.destroy("edge", missing_ok=True)  # by what is found alone
            else:
                perform(second)
                assert not second or not run.plan(topology(second))[0].operations, f"at {at}"
                run.destroy("edge", missing_ok=True)
            for each in (one, other):
                assert {link["ifname"] for link in each.json("link")} == {"lo"}, f"killed at {at}"
            devices = {link["ifname"]: link for link in netns.json("link")}
            assert devices.keys() == {"lo", "eth0", "wire"}, f"killed at {at}"
            assert "xdp" not in devices["eth0"], f"killed at {at}"
            assert not pins.entries(pins.directory(netns.name, "edge")), f"killed at {at}"
            if not died:
                break
    assert at > 2, "the run must consist of several writes"
