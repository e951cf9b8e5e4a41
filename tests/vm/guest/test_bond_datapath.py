"""Policies on macvlans on a bond: whatever port a frame comes in by, it meets its own, once."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import Rig, pins, raw_socket, rules, verdicts

WEB, DB = "02:00:00:00:00:10", "02:00:00:00:00:11"
BOND_MAC = "02:00:00:00:00:b0"
BROADCAST = "ff:ff:ff:ff:ff:ff"
PORTS = ("eth1", "eth2", "eth3")
WIRES = ("wire1", "wire2", "wire3")

TEXT = """\
version: 1
name: edge
devices:
  eth1: {kind: physical}
  eth2: {kind: physical}
  eth3: {kind: physical}
  bond0: {kind: bond, mode: MODE, miimon: 50, ports: [eth1, eth2], address: "02:00:00:00:00:b0",
          state: up, xdp: {policy: main}}
  web0: {kind: macvlan, parent: bond0, mode: bridge, address: "02:00:00:00:00:10", state: up,
         xdp: {policy: web}}
  db0: {kind: macvlan, parent: bond0, mode: bridge, address: "02:00:00:00:00:11", state: up,
        xdp: {policy: db}}
policies:
  main: {rules: [{name: never, match: {udp.dport: 9999}, action: drop}]}
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}
  db: {default: pass, rules: [{name: not, match: {udp.dport: 9000}, action: drop}]}
"""


class BondRig(Rig):
    """Three NICs with a wire each."""

    def connect(self) -> None:
        self.quieten()
        self.nic.batch(
            *(
                f"link add {port} type veth peer name {wire} netns {self.wire.name}"
                for port, wire in zip(PORTS, WIRES, strict=True)
            )
        )
        for wire in WIRES:
            self.wire.up(wire)
        with self.wire.entered():
            self.senders |= {wire: raw_socket(wire) for wire in WIRES}

    def start(self, mode: str) -> str:
        """Apply with the bond in a mode; the text."""
        text = TEXT.replace("MODE", mode)
        self.again(text)
        for device in ("web0", "db0"):
            self.listen(device)
        return text

    def again(self, text: str) -> None:
        """Apply, and see that a plan afterwards is empty."""
        self.apply(text)
        assert [one.summary() for one in self.plan(text).operations] == []

    def active(self) -> str | None:
        """The port that carries."""
        (bond,) = self.nic.json("link", "show", "dev", "bond0")
        return bond["linkinfo"]["info_data"].get("active_slave")  # type: ignore[no-any-return]

    def is_up(self, wire: str) -> bool:
        """Whether a wire carries, and its port with it."""
        (link,) = self.wire.json("link", "show", "dev", wire)
        return link["operstate"] == "UP"  # type: ignore[no-any-return]

    def counted(self, seen: socket.socket, port: int, expected: int) -> int:
        """UDP frames to this port that came out since the last call; what was sent is not.

        An emulated processor may take seconds to come to them.
        """
        found, end = 0, time.monotonic() + 5
        while True:
            try:
                frame, address = seen.recvfrom(2048)
            except BlockingIOError:
                if found >= expected or time.monotonic() > end:
                    return found
                time.sleep(0.1)
                continue
            is_udp = frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_UDP
            sent = address[2] == socket.PACKET_OUTGOING
            found += is_udp and not sent and frame[36:38] == port.to_bytes(2, "big")

    def police(self, wire: str) -> None:
        """Frames by one wire: each meets its device's policy and no other, and is counted."""
        before = self.show()
        for to, device in ((WEB, "web0"), (DB, "db0")):
            self.send(to, 9000, by=wire, for_=device, count=4)
            self.send(to, 9001, by=wire, for_=device, count=3)
            self.send(to, 9999, by=wire, for_=device, count=2)
        assert self.received() == {("web0", 9000): 4, ("db0", 9001): 3}
        after = self.show()
        assert rules(after["bond0"])["never"] - rules(before["bond0"])["never"] == 4
        for device, passed, dropped in (("web0", 4, 3), ("db0", 3, 4)):
            now, then = verdicts(after[device]), verdicts(before[device])
            assert now["pass"] - then.get("pass", 0) == passed
            assert now["drop"] - then.get("drop", 0) == dropped


@pytest.fixture
def bonded(netnses: Callable[[], Netns]) -> Iterator[BondRig]:
    made = BondRig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("mode", "xdp"),
    [("balance-rr", "native"), ("balance-xor", "native"), ("broadcast", "dispatched")],
)
def test_frames_by_every_port_are_policed_on_the_bond(bonded: BondRig, mode: str, xdp: str) -> None:
    bonded.start(mode)
    assert bonded.show()["bond0"]["xdp"]["mode"] == xdp
    for wire in WIRES[:2]:
        bonded.police(wire)
    bonded.destroy()
    assert pins(bonded.nic) == []


def test_failover(bonded: BondRig) -> None:
    text = bonded.start("active-backup")
    for wire, port in ((0, "eth1"), (1, "eth2"), (0, "eth1")):
        if bonded.active() != port:
            bonded.wire.ip("link", "set", WIRES[1 - wire], "down")
            assert eventually(lambda port=port: bonded.active() == port, 20)  # type: ignore[misc]
        bonded.police(WIRES[wire])
        bonded.wire.ip("link", "set", WIRES[1 - wire], "up")
    assert not bonded.plan(text).changed


def test_a_broadcast_meets_every_devices_policy_once(bonded: BondRig) -> None:
    bonded.start("balance-rr")
    before = bonded.show()
    bonded.send(BROADCAST, 9000, by="wire1", count=5)
    bonded.send(BROADCAST, 9001, by="wire2", count=4)
    assert bonded.received() == {("web0", 9000): 5, ("db0", 9001): 4}
    after = bonded.show()
    assert rules(after["web0"])["only"] - rules(before["web0"])["only"] == 5
    assert rules(after["db0"])["not"] - rules(before["db0"])["not"] == 5


def test_a_port_added_later_is_covered(bonded: BondRig) -> None:
    text = bonded.start("balance-rr")
    bonded.nic.ip("link", "set", "eth3", "master", "bond0")
    bonded.nic.ip("link", "set", "eth3", "up")
    bonded.police("wire3")
    bonded.again(text.replace("[eth1, eth2]", "[eth1, eth2, eth3]"))
    bonded.police("wire3")
    bonded.again(text.replace("[eth1, eth2]", "[eth3]"))
    bonded.police("wire3")


def test_the_mode_changes_with_the_policies_on(bonded: BondRig) -> None:
    text = bonded.start("balance-rr")
    for mode, xdp in (
        ("balance-xor", "native"),
        ("broadcast", "dispatched"),
        ("balance-rr", "native"),
    ):
        bonded.again(text.replace("balance-rr", mode))
        assert bonded.show()["bond0"]["xdp"]["mode"] == xdp
        bonded.police("wire1")
        bonded.police("wire2")


def test_a_port_that_has_no_native_xdp(bonded: BondRig) -> None:
    """The bond's own ends, and comes back."""
    text = bonded.start("balance-rr")
    bonded.nic.ip("link", "add", "plain0", "type", "dummy")
    more = text.replace("[eth1, eth2]", "[eth1, eth2, plain0]").replace(
        "  eth3:", "  plain0: {kind: physical}\n  eth3:"
    )
    bonded.again(more)
    assert bonded.show()["bond0"]["xdp"]["mode"] == "generic"
    bonded.police("wire2")
    bonded.again(text)
    assert bonded.show()["bond0"]["xdp"]["mode"] == "native"
    bonded.police("wire2")


def test_from_a_nic_to_a_bond_and_back(bonded: BondRig) -> None:
    """The kernel refuses a program on a port beside one on its bond."""
    bond = TEXT.replace("MODE", "balance-rr")
    start = bond.index("  bond0:")
    alone = bond[:start] + bond[bond.index("  web0:") :].replace("parent: bond0", "parent: eth1")
    alone = alone.replace("eth1: {kind: physical}", "eth1: {kind: physical, state: up, "
                          "xdp: {policy: main}}")  # fmt: skip
    for round_ in range(2):
        bonded.again(alone)
        assert bonded.show()["eth1"]["xdp"]["mode"] == "native"
        bonded.again(bond)
        assert bonded.show()["bond0"]["xdp"]["mode"] == "native"
        if not round_:
            bonded.listen("web0")
            bonded.listen("db0")
            bonded.police("wire2")
            bonded.deafen()
    bonded.destroy()
    assert pins(bonded.nic) == []
