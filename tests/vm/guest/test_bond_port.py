"""`meta.port` on a bond: policies of the bond and of what stands on it know the port of a frame."""

from __future__ import annotations

import pytest

from tests.kernel.rig import rules
from tests.vm.guest.test_bond_datapath import BROADCAST, DB, WEB, WIRES, BondRig, bonded

__all__ = ["bonded"]

TEXT = """\
version: 1
name: edge
devices:
  eth1: {kind: physical}
  eth2: {kind: physical}
  bond0: {kind: bond, mode: balance-rr, miimon: 50, ports: [eth1, eth2],
          address: "02:00:00:00:00:b0", state: up, xdp: {policy: main}}
  web0: {kind: macvlan, parent: bond0, mode: bridge, address: "02:00:00:00:00:10", state: up,
         xdp: {policy: web}}
  db0: {kind: macvlan, parent: bond0, mode: bridge, address: "02:00:00:00:00:11", state: up}
policies:
  main: {rules: [{name: second, match: {meta.port: eth2, udp.dport: 9999}, action: drop}]}
  web:
    default: drop
    rules:
      - {name: one, match: {meta.port: eth1, udp.dport: 9000}, action: pass}
      - {name: two, match: {meta.port: eth2, udp.dport: 9001}, action: pass}
      - {name: either, match: {meta.port: [eth1, eth2], udp.dport: 9999}, action: pass}
      - {name: inside, match: {meta.port: none, udp.dport: 9001}, action: pass}
"""
PORTS = (9000, 9001, 9999)


@pytest.mark.parametrize("to", [WEB, BROADCAST])
def test_each_slave_is_a_port(bonded: BondRig, to: str) -> None:
    bonded.again(TEXT)
    bonded.listen("web0", PORTS)
    bonded.listen("db0", ())
    before = bonded.show()
    for wire in WIRES[:2]:
        for port in PORTS:
            bonded.send(to, port, by=wire, for_="web0", count=3)
    assert bonded.received() == {("web0", port): 3 for port in PORTS}
    after = bonded.show()
    assert rules(after["bond0"])["second"] - rules(before["bond0"])["second"] == 3
    met = {
        name: count - rules(before["web0"])[name] for name, count in rules(after["web0"]).items()
    }
    assert met == {"one": 3, "two": 3, "either": 3, "inside": 0, "default": 6}


def test_a_siblings_frames_came_by_none(bonded: BondRig) -> None:
    bonded.again(TEXT)
    bonded.listen("web0", PORTS)
    bonded.listen("db0", ())
    for to in (WEB, BROADCAST):
        for port in PORTS:
            bonded.send(to, port, by="db0", for_="web0", count=3, source=DB)
        assert bonded.received() == {("web0", 9001): 3}
