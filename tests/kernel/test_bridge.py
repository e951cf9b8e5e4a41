"""A bridge with policies: natively on its ports; what it forwards is none of its own affair."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import BROADCAST, Rig, Traffic, pins, raw_socket, rules, verdicts

pytestmark = pytest.mark.kernel

OWN, WEB, FAR = "02:00:00:00:00:b1", "02:00:00:00:00:10", "02:00:00:00:00:77"
TEXT = """\
version: 1
name: edge
devices:
  eth1: {kind: physical, state: up, xdp: {policy: first}}
  eth2: {kind: physical, state: up}
  br0: {kind: bridge, ports: [eth1, eth2], address: "02:00:00:00:00:b1", state: up,
        xdp: {policy: own}}
  web0: {kind: macvlan, parent: br0, mode: bridge, address: "02:00:00:00:00:10", state: up,
         xdp: {policy: web}}
policies:
  first: {rules: [{name: one, match: {udp.dport: 9001}, action: drop}]}
  own: {rules: [{name: two, match: {udp.dport: 9002}, action: drop}]}
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000-9002}, action: pass}]}
"""
UDP = (9000, 9001, 9002, 9003)


class BridgeRig(Rig):
    """Two NICs with a wire each."""

    def connect(self) -> None:
        for netns in (self.nic, self.wire):
            for group in ("all", "default"):
                netns.run("sysctl", "-qw", f"net.ipv6.conf.{group}.disable_ipv6=1")
        for number in (1, 2):
            far = ("peer", "name", f"wire{number}", "netns", self.wire.name)
            self.nic.ip("link", "add", f"eth{number}", "type", "veth", *far)
            self.wire.ip("link", "set", f"wire{number}", "address", f"02:00:00:00:01:0{number}")
            self.wire.ip("link", "set", f"wire{number}", "up")
        with self.wire.entered():
            self.senders |= {wire: raw_socket(wire) for wire in ("wire1", "wire2")}

    def start(self, text: str = TEXT) -> None:
        """Apply, and see that a plan afterwards is empty and the bridge takes frames."""
        self.apply(text)
        assert [one.summary() for one in self.plan(text).operations] == []
        assert eventually(self._carries)

    def _carries(self) -> bool:
        (bridge,) = self.nic.json("link", "show", "dev", "br0")
        return bridge["operstate"] == "UP"  # type: ignore[no-any-return]

    def watch(self, wire: str) -> socket.socket:
        """A socket that sees what comes out of a wire."""
        with self.wire.entered():
            seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        seen.bind((wire, 3))
        seen.setblocking(False)
        self.senders[f"seen {wire}"] = seen
        return seen

    def came_out(self, seen: socket.socket) -> dict[int, int]:
        """UDP frames since the last call, by port; nothing but zeros is left out."""
        time.sleep(0.1)
        found: Counter[int] = Counter()
        while True:
            try:
                frame = seen.recv(2048)
            except BlockingIOError:
                return dict(found)
            if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_UDP:
                found[int.from_bytes(frame[36:38], "big")] += 1

    def met(self) -> dict[str, dict[str, int]]:
        """What each policy's rules have counted."""
        return {name: rules(one) for name, one in self.show().items() if one["xdp"]["policy"]}


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[BridgeRig]:
    made = BridgeRig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def test_port_bridge_and_device_each_drop_their_own(rig: BridgeRig) -> None:
    rig.start()
    for device in ("br0", "web0"):
        rig.listen(device, UDP)
    for port in UDP:
        rig.send(WEB, port, by="wire1", for_="web0", count=3)
        rig.send(OWN, port, by="wire2", for_="br0", count=2)
    assert rig.received() == {
        ("web0", 9000): 3, ("br0", 9000): 2, ("br0", 9001): 2, ("br0", 9003): 2,
    }  # fmt: skip
    show = rig.show()
    assert {name: one["xdp"]["mode"] for name, one in show.items()} == {
        "eth1": "native", "eth2": "native", "br0": "dispatched", "web0": "dispatched",
    }  # fmt: skip
    assert rig.met() == {
        "eth1": {"one": 3, "default": 9},
        "br0": {"two": 5, "default": 12},
        "web0": {"only": 3, "default": 3},
    }
    rig.destroy()
    assert pins(rig.nic) == []


def test_a_broadcast_meets_each_once(rig: BridgeRig) -> None:
    rig.start()
    for device in ("br0", "web0"):
        rig.listen(device, UDP)
    for port in UDP:
        rig.send(BROADCAST, port, by="wire2", count=3)
    assert rig.received() == {
        ("br0", 9000): 3, ("br0", 9001): 3, ("br0", 9003): 3, ("web0", 9000): 3, ("web0", 9001): 3,
    }  # fmt: skip
    assert rig.met()["br0"] == {"two": 3, "default": 9}
    assert verdicts(rig.show()["web0"]) == {"pass": 6, "drop": 3}


def test_what_the_bridge_forwards_meets_the_ports_policy_alone(rig: BridgeRig) -> None:
    rig.start()
    seen = rig.watch("wire2")
    for port in UDP:
        rig.send(FAR, port, by="wire1", count=3)
    assert rig.came_out(seen) == {9000: 3, 9002: 3, 9003: 3}
    assert rig.met()["eth1"] == {"one": 3, "default": 9}


def test_ports_change_under_traffic(rig: BridgeRig) -> None:
    rig.start()
    for device in ("br0", "web0"):
        rig.listen(device, UDP)
    rig.senders["wire"] = rig.senders["wire1"]
    steps = [(WEB, 9003, "web0"), (OWN, 9002, "br0"), (OWN, 9001, "br0")]
    with Traffic(rig, steps, pause=0.001):
        for ports in ("[eth1]", "[eth1, eth2]", "[eth2]", "[eth2, eth1]"):
            rig.start(TEXT.replace("[eth1, eth2]", ports))
    assert rig.received() == {}


def test_from_generic_to_its_ports(rig: BridgeRig) -> None:
    text = TEXT.replace("mode: bridge, address", "mode: private, address").replace(
        "state: up,\n        xdp: {policy: own}}", "state: up, xdp: {policy: own, mode: generic}}"
    )
    rig.start(text)
    rig.listen("web0", UDP)
    assert rig.show()["br0"]["xdp"]["mode"] == "generic"
    for port in UDP:
        rig.send(WEB, port, by="wire2", for_="web0", count=3)
    assert rig.received() == {("web0", 9000): 3, ("web0", 9001): 3}
    rig.start(text.replace(", mode: generic", ""))
    assert rig.show()["br0"]["xdp"]["mode"] == "dispatched"
    for port in UDP:
        rig.send(WEB, port, by="wire1", for_="web0", count=3)
    assert rig.received() == {("web0", 9000): 3}
