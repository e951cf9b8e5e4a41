"""A host on which a topology stands as its file says: no device of it need exist.

It gives every device an ifindex and an address, which is all that the datapath's tables ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from xdpctl.host.state import Host, Link
from xdpctl.topology.expand import derived_address
from xdpctl.topology.kinds.vlan import PROTOCOLS
from xdpctl.topology.model import Device, Tag, Topology

LOOPBACK = 1
"""The ifindex that a program sees in a test run: that of the loopback device, as any other would
have to exist (net/bpf/test_run.c)."""
FIRST_IFINDEX = 2


@dataclass(frozen=True)
class Scene:
    """The topology with its made-up host."""

    topology: Topology

    @cached_property
    def host(self) -> Host:
        """Every device, in the topology's order."""
        links = [
            Link(
                ifindex=number,
                name=device.name,
                kind="" if device.kind == "physical" else device.kind,
                properties={"mtu": 1500, **device.properties, "address": self.addresses[name]},
            )
            for number, (name, device) in enumerate(self.topology.devices.items(), FIRST_IFINDEX)
        ]
        return Host("", tuple(links))

    def entered_by(self, port: str) -> Host:
        """The host with this device where a test run's frames come in."""
        links = (
            replace(link, ifindex=LOOPBACK) if link.name == port else link
            for link in self.host.links
        )
        return Host("", tuple(links))

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """The MAC of each device: the file's, its parent's where it takes that, or made up."""
        found: dict[str, str] = {}
        for name, device in self.topology.devices.items():  # lower comes before upper
            own = device.behind or device.properties.get("address") or device.match.get("mac")
            takes = device.kind == "vlan" or device.properties.get("mode") == "passthru"
            if own is None and takes and device.parent in found:
                own = found[device.parent]
            found[name] = str(own or derived_address(self.topology.name, name))
        return found

    @cached_property
    def above(self) -> Mapping[str, list[Device]]:
        """The devices right above each."""
        found: dict[str, list[Device]] = {}
        for device in self.topology.devices.values():
            if device.parent is not None:
                found.setdefault(device.parent, []).append(device)
        return found

    def way(self, to: str) -> list[str]:
        """The devices from the lowest one up to this."""
        found = [to]
        while (parent := self.topology.devices[found[-1]].parent) in self.topology.devices:
            found.append(str(parent))
        return found[::-1]

    def tags(self, to: str) -> tuple[Tag, ...]:
        """The VLAN tags that a frame for this device has on the root, outermost first."""
        devices = [self.topology.devices[name] for name in self.way(to)]
        return tuple(vlan_tag(device) for device in devices if device.kind == "vlan")


def vlan_tag(device: Device) -> Tag:
    """The tag of a vlan's frames on its parent."""
    protocol = str(device.properties.get("protocol", "802.1Q"))
    return Tag(int(str(device.properties["id"])), protocol=PROTOCOLS[protocol])
