"""One frame for each device of a topology: its policy must be met exactly once, by whatever way."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.kernel.conftest import eventually
from tests.kernel.rig import Rig, raw_socket, udp_frame
from tests.transitions.topologies import NICS, PASSING
from xdpctl.topology.kinds.vlan import PROTOCOLS
from xdpctl.topology.model import Device, Topology

PORT = 5000
"""No rule of any policy asks for it."""
ALL_PORTS = ("balance-rr", "balance-xor")
"""Modes of a bond that take frames by each port."""


def each_policy_is_met_once(rig: Rig, topology: Topology) -> int:
    """Send them, and see that they are counted; how many there were."""
    links = {link["ifname"]: link for link in rig.nic.json("link")}
    before = rig.show()
    targets = dict(reached(topology, links, before))
    with rig.nic.entered():
        for name, (nic, tags) in targets.items():
            assert eventually(lambda nic=nic: forwards(rig, nic)), nic  # type: ignore[misc]
            address = topology.devices[name].behind or links[name]["address"]
            frame = udp_frame(address, PORT, daddr="10.0.0.1", saddr="10.0.0.2")
            with raw_socket(f"{nic}-far") as sender:
                sender.send(frame[:12] + tags + frame[12:])
    wanted = dict.fromkeys(targets, 1)

    def counted() -> dict[str, int]:
        after = rig.show()
        return {name: total(after[name]) - total(before[name]) for name in targets}

    assert eventually(lambda: counted() == wanted), (counted(), targets)
    return len(targets)


def forwards(rig: Rig, nic: str) -> bool:
    """Whether a bridge's port takes frames by now; what is none always does."""
    (link,) = rig.nic.json("link", "show", nic)
    info = link.get("linkinfo", {})
    is_port = info.get("info_slave_kind") == "bridge"
    return not is_port or bool(info["info_slave_data"]["state"] == "forwarding")


def total(shown: Mapping[str, Any]) -> int:
    return sum(one["packets"] for one in shown["xdp"]["verdicts"].values())


def reached(
    topology: Topology, links: Mapping[str, Any], show: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """The devices that a frame comes to, with the NIC and the tags by which it does."""
    for device in topology.devices.values():
        path = list(below(topology, device))
        root = path[-1]
        nic = next((port for port in root.ports if port in NICS), root.name)
        stages = [*path[1:], *([topology.devices[nic]] if nic != root.name else [])]
        if device.parent is None or nic not in NICS or not is_policed(device, show):
            continue
        if device.properties.get("mode") in ("source", "passthru") or not takes_all(root):
            continue
        if any("UP" not in links[one.name]["flags"] for one in (*path, *stages)):
            continue
        if all(lets_through(one, show) for one in stages):
            yield device.name, (nic, b"".join(tag(one) for one in reversed(path)))


def below(topology: Topology, device: Device) -> Iterator[Device]:
    """The device and those that it stands on, the root last."""
    yield device
    while device.parent is not None:
        device = topology.devices[device.parent]
        yield device


def is_policed(device: Device, show: Mapping[str, Any]) -> bool:
    return bool(show.get(device.name, {}).get("xdp", {}).get("policy"))


def takes_all(root: Device) -> bool:
    """Whether a frame gets in by any port."""
    if root.kind == "bond":
        return root.properties.get("mode") in ALL_PORTS
    return root.kind in ("physical", "bridge")


def lets_through(device: Device, show: Mapping[str, Any]) -> bool:
    policy = show.get(device.name, {}).get("xdp", {}).get("policy")
    return policy is None or policy in PASSING


def tag(device: Device) -> bytes:
    if device.kind != "vlan":
        return b""
    protocol = PROTOCOLS[str(device.properties.get("protocol", "802.1Q"))]
    return struct.pack("!HH", protocol, int(str(device.properties["id"])))
