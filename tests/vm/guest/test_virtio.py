"""Virtio NICs: a driver of hardware, as far as there is one here; alone and as slaves of a bond."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import DB, OPPOSITE, WEB, pins, raw_socket, verdicts
from tests.vm.boot import NIC_MAC, NICS
from tests.vm.guest.test_bond_datapath import PORTS, WIRES, BondRig
from tests.vm.guest.test_bond_ports import modes, police, start

NET = Path("/sys/class/net")


def present() -> dict[str, str]:
    """The names of the NICs that are in the first namespace, by address."""
    found = {}
    for link in NET.glob("*/device"):  # what is made of nothing has none
        address = link.with_name("address").read_text().strip()
        if address.startswith(NIC_MAC):
            found[address] = link.parent.name
    return found


class VirtioRig(BondRig):
    """eth1 and eth2 are virtio NICs, each with a cable to another one; eth3 is a veth."""

    def connect(self) -> None:
        self.quieten()
        assert eventually(lambda: len(present()) == NICS), "they come back from the test before"
        names = present()
        for number, name in enumerate(("eth1", "wire1", "eth2", "wire2")):
            netns = self.nic if number % 2 == 0 else self.wire
            now = names[f"{NIC_MAC}{number:02x}"]
            command = ["ip", "link", "set", now, "netns", netns.name, "name", name]
            subprocess.run(command, check=True)
            netns.ip("link", "set", name, "up")
        self.nic.ip("link", "add", "eth3", "type", "veth", "peer", "name", "wire3", "netns",
                    self.wire.name)  # fmt: skip
        self.wire.ip("link", "set", "wire3", "up")
        with self.wire.entered():
            self.senders |= {wire: raw_socket(wire) for wire in WIRES}

    def received(self) -> dict[tuple[str, int], int]:
        """The same, once nothing comes any more: the cables are QEMU's."""
        found = Counter[tuple[str, int]]()
        quiet = 0
        while quiet < 4:
            more = super().received()
            found.update(more)
            quiet = 0 if more else quiet + 1
        return dict(found)

    def close(self) -> None:
        super().close()
        for netns, names in ((self.nic, PORTS[:2]), (self.wire, WIRES[:2])):
            for name in names:
                netns.ip("link", "set", name, "netns", "1")


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[VirtioRig]:
    made = VirtioRig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def test_two_macvlans_with_opposite_policies(rig: VirtioRig) -> None:
    rig.again(OPPOSITE.replace("eth0", "eth1"))
    for device in ("web0", "db0"):
        rig.listen(device)
    assert rig.show()["eth1"]["xdp"]["mode"] == "native"
    for to, device in ((WEB, "web0"), (DB, "db0"), ("ff:ff:ff:ff:ff:ff", "")):
        for port in (9000, 9001):
            rig.send(to, port, by="wire1", for_=device, count=4)
    assert eventually(lambda: verdicts(rig.show()["db0"]) == {"pass": 8, "drop": 8}, 10)
    assert rig.received() == {("web0", 9000): 8, ("db0", 9001): 8}
    assert verdicts(rig.show()["web0"]) == {"pass": 8, "drop": 8}
    rig.destroy()
    assert pins(rig.nic) == []


@pytest.mark.parametrize("mode", ["balance-rr", "active-backup", "broadcast"])
def test_slave_bond_and_device_each_drop_their_own(rig: VirtioRig, mode: str) -> None:
    start(rig, mode)
    on_bond = mode != "broadcast"
    assert modes(rig.show()) == {
        **dict.fromkeys(("eth1", "eth2"), "dispatched" if on_bond else "native"),
        "bond0": "native" if on_bond else "dispatched", "web0": "dispatched", "db0": "dispatched",
    }  # fmt: skip
    for port, wire, own in zip(PORTS, WIRES, (9001, 9002), strict=False):
        if mode != "active-backup" or rig.active() == port:
            police(rig, wire, own)
