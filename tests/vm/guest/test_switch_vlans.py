"""Frames are redirected into devices beside VLANs on the same NIC: each gets its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import BROADCAST, STRANGER, udp_frame, verdicts
from tests.kernel.test_actions import opened_tap
from tests.kernel.test_switch import Boxes
from tests.vm.guest.test_vlan_datapath import SEVEN, VlanRig, tagged

VM, SIBLING = "02:00:00:00:00:20", "02:00:00:00:00:21"
TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical}}
  vlan7: {{kind: vlan, parent: eth0, id: 7, state: up, xdp: {{policy: seven}}}}
  vm0: {{kind: tap, parent: eth0, deliver: redirect, address: "{VM}", state: up,
        xdp: {{policy: web}}}}
  vm1: {{kind: tap, parent: eth0, deliver: redirect, address: "{SIBLING}", state: up,
        xdp: {{egress: out}}}}
policies:
  seven: {{rules: [{{name: no, match: {{udp.dport: 9002}}, action: drop}}]}}
  web: {{default: drop, rules: [{{name: only, match: {{udp.dport: 9000}}, action: pass}}]}}
  out: {{rules: [{{name: no, match: {{udp.dport: 25}}, action: drop}}]}}
"""


@pytest.fixture
def boxes(netnses: object) -> Iterator[Boxes]:
    assert callable(netnses)
    nic, wire = netnses(), netnses()
    assert isinstance(nic, Netns)
    made = VlanRig(nic, wire)
    made.connect()
    made.wire.run("ethtool", "-K", "wire", "gro", "on", "tx", "off")
    made.start(TEXT)
    found = Boxes(made)
    try:
        with opened_tap(nic, "vm0") as first, opened_tap(nic, "vm1") as second:
            found.readers |= {"vm0": first, "vm1": second}
            found.watch("vlan7", nic, "vlan7")
            found.watch("wire", wire, "wire")
            found.arrived()
            yield found
            for one in found.sockets.values():
                one.close()
    finally:
        made.close()


def send_tagged(boxes: Boxes, to: str, port: int) -> None:
    frame = udp_frame(to, port, daddr="10.0.0.255", saddr="10.0.0.99")
    boxes.rig.senders["wire"].send(tagged(frame, SEVEN))


def test_each_gets_its_own(boxes: Boxes) -> None:
    for port in (9000, 9001, 9002):
        boxes.send("wire", VM, port)
        boxes.send("vm1", VM, port, count=2)
        boxes.send("wire", BROADCAST, port, count=1)
        for to in ("02:00:00:00:00:01", BROADCAST, STRANGER):
            send_tagged(boxes, to, port)
    assert boxes.arrived() == {
        "vm0": {9000: 5 + 2 + 1},
        "vm1": {9000: 1, 9001: 1, 9002: 1},
        "vlan7": {9000: 3, 9001: 3, 9002: 1},  # a packet socket sees groups before the gate does
    }
    assert verdicts(boxes.rig.show()["vm0"]) == {"pass": 8, "drop": 16}
