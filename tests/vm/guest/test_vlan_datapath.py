"""Policies at each level of VLANs on a NIC: natively, in the frame's order, each once."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import BROADCAST, Rig, pins, rules, udp_frame, verdicts

MAC = "02:00:00:00:00:10"
"""Of all three macvlans: they are told apart by where they stand."""
SEVEN = ((0x8100, 7),)
INNER = ((0x88A8, 100), (0x8100, 5))
TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, xdp: {policy: guard}}
  vlan7: {kind: vlan, parent: eth0, id: 7, state: up, xdp: {policy: seven}}
  outer: {kind: vlan, parent: eth0, id: 100, protocol: 802.1ad, state: up}
  inner: {kind: vlan, parent: outer, id: 5, state: up, xdp: {policy: five}}
  web0: {kind: macvlan, parent: vlan7, mode: bridge, address: "02:00:00:00:00:10", state: up,
         xdp: {policy: web}}
  db0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
        xdp: {policy: db}}
  app0: {kind: macvlan, parent: inner, mode: bridge, address: "02:00:00:00:00:10", state: up,
         xdp: {policy: app}}
policies:
  guard: {rules: [{name: tagged, match: {vlan.id: 7, udp.dport: 9003}, action: drop}]}
  seven:
    rules:
      - {name: still tagged, match: {vlan.id: 0-4095}, action: drop}
      - {name: no, match: {udp.dport: 9002}, action: drop}
      - {name: long, match: {meta.length: 61-1514}, action: drop}
  five:
    rules:
      - {name: still tagged, match: {vlan.id: 0-4095}, action: drop}
      - {name: no, match: {udp.dport: 9001}, action: drop}
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000-9004}, action: pass}]}
  db: {default: drop, rules: [{name: only, match: {udp.dport: 9002}, action: pass}]}
  app: {default: drop, rules: [{name: only, match: {udp.dport: 9002, vlan.id: none}, action: pass}]}
"""
PORTS = (9000, 9001, 9002, 9003)


def tagged(frame: bytes, tags: tuple[tuple[int, int], ...]) -> bytes:
    """The frame with VLAN tags, the outer one first."""
    between = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return frame[:12] + between + frame[12:]


class VlanRig(Rig):
    """Sends tagged frames; counts what the NIC's own stack is shown."""

    def start(self, text: str = TEXT) -> None:
        """Apply, and see that a plan afterwards is empty."""
        self.apply(text)
        assert [one.summary() for one in self.plan(text).operations] == []

    def came_out(self) -> int:
        """Frames since the last call."""
        found = 0
        while True:
            try:
                self.senders["seen eth0"].recv(2048)
            except BlockingIOError:
                return found
            found += 1

    def tag(
        self, to: str, port: int, tags: tuple[tuple[int, int], ...], device: str, count: int = 3
    ) -> None:
        """Send frames for a device with these tags."""
        address = "10.0.0.255" if int(to[:2], 16) & 1 else self.addresses[device]
        frame = udp_frame(to, port, daddr=address, saddr="10.0.0.99")
        for _ in range(count):
            self.senders["wire"].send(tagged(frame, tags))


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[VlanRig]:
    made = VlanRig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def test_each_level_polices_its_own_and_each_frame_once(rig: VlanRig) -> None:
    rig.start()
    for device in ("web0", "db0", "app0"):
        rig.listen(device, PORTS)
    for port in PORTS:
        rig.tag(MAC, port, SEVEN, "web0")
        rig.tag(MAC, port, (), "db0")
        rig.tag(MAC, port, INNER, "app0")
    assert rig.received() == {
        ("web0", 9000): 3, ("web0", 9001): 3, ("db0", 9002): 3, ("app0", 9002): 3,
    }  # fmt: skip
    show = rig.show()
    assert {name: one["xdp"]["mode"] for name, one in show.items()} == {
        "eth0": "native", "outer": "none", "vlan7": "dispatched", "inner": "dispatched",
        "web0": "dispatched", "db0": "dispatched", "app0": "dispatched",
    }  # fmt: skip
    assert rules(show["eth0"]) == {"tagged": 3, "default": 33}
    assert rules(show["vlan7"]) == {"still tagged": 0, "no": 3, "long": 0, "default": 6}
    assert rules(show["inner"]) == {"still tagged": 0, "no": 3, "default": 9}
    assert verdicts(show["web0"]) == {"pass": 6}
    assert verdicts(show["db0"]) == {"pass": 3, "drop": 9}
    assert verdicts(show["app0"]) == {"pass": 3, "drop": 6}


def test_what_is_dropped_is_dropped_before_there_is_an_skb(rig: VlanRig) -> None:
    rig.start()
    for device in ("web0", "app0"):
        rig.listen(device, PORTS)
    rig.watch(rig.nic, "eth0")
    for port in PORTS:
        rig.tag(MAC, port, SEVEN, "web0")
        rig.tag(MAC, port, INNER, "app0")
    assert rig.received() == {("web0", 9000): 3, ("web0", 9001): 3, ("app0", 9002): 3}
    assert rig.came_out() == 9


def test_a_broadcast_of_a_vlan_meets_its_policies_at_the_devices(rig: VlanRig) -> None:
    rig.start()
    for device in ("web0", "db0", "app0"):
        rig.listen(device, PORTS)
    for port in PORTS:
        rig.tag(BROADCAST, port, SEVEN, "web0")
        rig.tag(BROADCAST, port, INNER, "app0")
    assert rig.received() == {("web0", 9000): 3, ("web0", 9001): 3, ("app0", 9002): 3}
    show = rig.show()
    assert rules(show["vlan7"])["no"] == 3
    assert verdicts(show["web0"]) == {"pass": 6}
    assert verdicts(show["app0"]) == {"pass": 3, "drop": 6}


def test_priority_tags_and_tags_of_nobody(rig: VlanRig) -> None:
    """A priority tag is no VLAN; a tag that no VLAN device claims is the macvlan's to pass on."""
    rig.start()
    rig.listen("db0", PORTS)
    rig.tag(MAC, 9002, ((0x8100, 0),), "db0")
    rig.tag(MAC, 9001, ((0x8100, 0x6000),), "db0")
    rig.tag(MAC, 9002, ((0x8100, 9),), "db0")
    assert rig.received() == {("db0", 9002): 3}
    assert verdicts(rig.show()["db0"]) == {"pass": 6, "drop": 3}


def test_vlans_come_and_go(rig: VlanRig) -> None:
    """A pipeline with VLANs on the way has other tables than one without."""
    start = TEXT.index("  vlan7:")
    flat = TEXT[:start] + TEXT[TEXT.index("  db0:") : TEXT.index("  app0:")]
    flat += "policies:\n" + TEXT[TEXT.index("  guard:") : TEXT.index("  seven:")]
    flat += TEXT[TEXT.index("  db: {default") : TEXT.index("  app: {default")]
    rig.start(flat)
    rig.listen("db0", PORTS)
    rig.tag(MAC, 9002, (), "db0")
    rig.start(TEXT)
    rig.listen("web0", PORTS)
    rig.tag(MAC, 9002, (), "db0")
    rig.tag(MAC, 9000, SEVEN, "web0")
    assert rig.received() == {("db0", 9002): 6, ("web0", 9000): 3}
    more = TEXT.replace("id: 7,", "id: 8,").replace("id: 5,", "id: 6,")
    rig.receivers.pop(("web0", 9000)).close()  # the device is made anew
    rig.start(more)
    rig.tag(MAC, 9000, SEVEN, "web0")
    rig.tag(MAC, 9001, ((0x8100, 8),), "web0")
    assert verdicts(rig.show()["web0"]) == {"pass": 3}
    rig.start(flat)
    assert verdicts(rig.show()["db0"])["pass"] == 6
    rig.destroy()
    assert pins(rig.nic) == []


def test_frames_that_are_for_nobody_are_dropped_in_every_vlan(rig: VlanRig) -> None:
    text = TEXT.replace("{kind: physical, xdp: {policy: guard}}",
                        "{kind: physical, xdp: {policy: guard, unknown: drop}}")  # fmt: skip
    rig.start(text)
    rig.listen("web0", PORTS)
    rig.listen("vlan7", PORTS)
    rig.watch(rig.nic, "eth0")
    own = rig.nic.json("link", "show", "dev", "vlan7")[0]["address"]
    rig.tag("02:00:00:00:99:99", 9000, SEVEN, "web0")
    rig.tag("02:00:00:00:99:99", 9000, INNER, "web0")
    assert rig.came_out() == 0
    rig.tag(own, 9000, SEVEN, "vlan7")
    rig.tag(MAC, 9000, SEVEN, "web0")
    assert rig.received() == {("vlan7", 9000): 3, ("web0", 9000): 3}
    assert rig.show()["eth0"]["xdp"]["unknown"]["packets"] == 6


BESIDE = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, xdp: {mode: MODE, unknown: drop}}
  vlan7: {kind: vlan, parent: eth0, id: 7, address: "02:00:00:00:00:10", state: up,
          xdp: {policy: seven}}
  db0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
        xdp: {policy: db}}
policies:
  seven: {default: drop, rules: [{name: only, match: {udp.dport: 9001}, action: pass}]}
  db: {default: drop, rules: [{name: only, match: {udp.dport: 9002}, action: pass}]}
"""


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_vlan_may_have_the_address_of_a_macvlan_beside_it(rig: VlanRig, mode: str) -> None:
    rig.start(BESIDE.replace("MODE", mode))
    for device in ("vlan7", "db0"):
        rig.listen(device, PORTS)
    for port in (9001, 9002):
        rig.tag(MAC, port, SEVEN, "vlan7")
        rig.tag(MAC, port, (), "db0")
    assert rig.received() == {("vlan7", 9001): 3, ("db0", 9002): 3}
    show = rig.show()
    assert verdicts(show["db0"]) == verdicts(show["vlan7"]) == {"pass": 3, "drop": 3}
