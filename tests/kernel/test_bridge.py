"""A bridge with policies: natively on its ports; what it forwards is none of its own affair."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import BROADCAST, Rig, Traffic, pins, raw_socket, rules, verdicts
from xdpctl.apply import run
from xdpctl.bpf import links
from xdpctl.bpf import pins as bpf_pins
from xdpctl.datapath.drift import drifted

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
        self.quieten()
        far = f"netns {self.wire.name} address 02:00:00:00:01:0"
        self.nic.batch(*(f"link add eth{n} type veth peer name wire{n} {far}{n}" for n in (1, 2)))
        for number in (1, 2):
            self.wire.up(f"wire{number}")
        with self.wire.entered():
            self.senders |= {wire: raw_socket(wire) for wire in ("wire1", "wire2")}

    def start(self, text: str = TEXT) -> None:
        """Apply, and see that a plan afterwards is empty and the bridge takes frames."""
        self.apply(text)
        assert [one.summary() for one in self.plan(text).operations] == []
        assert eventually(self._carries)

    def _carries(self) -> bool:
        ports = self.nic.json("link", "show", "master", "br0")
        above = [*self.nic.json("link", "show", "dev", "br0"), *self.nic.json("link", "show", "dev",
                 "web0")]  # fmt: skip
        return {one["operstate"] for one in (*ports, *above)} == {"UP"} and self.nic.forwards("br0")

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

    def settle(self, wire: str, to: str, device: str) -> None:
        """Wait until the bridge takes frames by a wire: a port that joined needs a moment."""

        def takes() -> bool:
            self.send(to, 9000, by=wire, for_=device, count=1)
            return bool(self.received())

        assert eventually(takes)
        while self.received():
            pass

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
    seen = rig.watch(rig.wire, "wire2")
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


def drop_all(text: str) -> str:
    """A bridge that takes nothing for itself."""
    return text.replace("own: {rules: [{name: two, match: {udp.dport: 9002}, action: drop}]}",
                        "own: {default: drop}")  # fmt: skip


@pytest.mark.parametrize(
    ("now", "instead", "modes"),
    [
        ("eth2: {kind: physical, state: up}",
         "eth2: {kind: physical, state: up, xdp: {enabled: false}}", ("native", "none")),
        ("xdp: {policy: own}}", "xdp: {policy: own, unknown: drop}}", ("native", "none")),
        ("xdp: {policy: first}}", "xdp: {policy: first, mode: generic}}", ("generic", "none")),
    ],
    ids=["a port without XDP", "nothing for unknown ones", "a generic port"],
)  # fmt: skip
def test_a_bridge_that_is_not_policed_by_its_ports_is_generic(
    rig: BridgeRig, now: str, instead: str, modes: tuple[str, str]
) -> None:
    rig.start(drop_all(TEXT).replace(now, instead))
    show = rig.show()
    found = (
        show["eth1"]["xdp"]["mode"],
        show.get("eth2", {"xdp": {"mode": "none"}})["xdp"]["mode"],
    )
    assert found == modes
    assert show["br0"]["xdp"]["mode"] == "generic"
    seen = rig.watch(rig.wire, "wire2")
    for port in UDP:
        rig.send(FAR, port, by="wire1", count=3)
    assert rig.came_out(seen) == {9000: 3, 9002: 3, 9003: 3}, "forwarding is not its affair"


def test_show_has_no_drift_of_its_own(rig: BridgeRig) -> None:
    rig.start()
    with rig.nic.entered():
        observed = run.observe("edge")
        assert drifted(observed.host, observed.live) == []
        link = next(hook for hook in observed.live.pipelines["br0"].hooks if "eth2" in hook.pin)
        with links.Link(bpf_pins.open_pin(observed.live.directory / link.pin)) as opened:
            opened.detach()
        observed = run.observe("edge")
        (item,) = drifted(observed.host, observed.live)
    assert (item["op"], item["device"]) == ("attach", "eth2")
    rig.start()


def test_ports_that_change_names(rig: BridgeRig) -> None:
    rig.start()
    rig.listen("web0", UDP)
    for one, other in (("eth1", "swap"), ("eth2", "eth1"), ("swap", "eth2")):
        rig.nic.ip("link", "set", one, "down")
        rig.nic.ip("link", "set", one, "name", other, "up")
    rig.start()
    rig.settle("wire1", WEB, "web0")
    rig.send(WEB, 9001, by="wire2", for_="web0", count=3)
    rig.send(WEB, 9001, by="wire1", for_="web0", count=2)
    assert rig.received() == {("web0", 9001): 2}, "eth1 is the other one now"
    rig.nic.ip("link", "delete", "eth2")
    rig.nic.ip("link", "set", "eth1", "down")
    rig.nic.ip("link", "set", "eth1", "name", "eth2", "up")
    rig.nic.ip("link", "add", "eth1", "type", "veth", "peer", "name", "wire3", "netns",
               rig.wire.name)  # fmt: skip
    rig.wire.ip("link", "set", "wire3", "up")
    rig.start()
    rig.settle("wire2", WEB, "web0")
    rig.send(WEB, 9001, by="wire2", for_="web0", count=3)
    assert rig.received() == {("web0", 9001): 3}
    rig.destroy()
    assert pins(rig.nic) == []


def test_it_follows_the_address_that_a_port_brings(rig: BridgeRig) -> None:
    text = TEXT.replace('address: "02:00:00:00:00:b1", state', "state")
    rig.nic.ip("link", "set", "eth2", "address", "02:00:00:00:00:02")
    rig.start(text.replace("[eth1, eth2]", "[eth1]"))
    rig.start(text)
    rig.listen("br0", UDP)
    (bridge,) = rig.nic.json("link", "show", "dev", "br0")
    assert bridge["address"] == "02:00:00:00:00:02"
    rig.settle("wire2", bridge["address"], "br0")
    for port in UDP:
        rig.send(bridge["address"], port, by="wire2", for_="br0", count=2)
    assert rig.received() == {("br0", port): 2 for port in (9000, 9001, 9003)}
