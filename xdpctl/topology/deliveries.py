"""Whose frames a device gets that frames are delivered to: the address of who is behind it."""

from __future__ import annotations

from dataclasses import replace

from xdpctl.topology.draft import Entry
from xdpctl.topology.expand import derived_address


def with_addresses(topology: str, entries: dict[str, Entry]) -> dict[str, Entry]:
    """The devices with that address: the file's, that of a veth's other end if the file has it, or
    one of ours. The other end gets it, too.
    """
    found = dict(entries)
    for name, entry in entries.items():
        if entry.device.deliver is None:
            continue
        other = entries.get(str(entry.device.properties.get("peer")))
        given = str(other.device.properties.get("address", "")) if other is not None else ""
        address = entry.device.behind or given or derived_address(topology, name)
        found[name] = replace(entry, device=replace(entry.device, behind=address))
        if other is not None and not given and other.device.kind == "veth":
            properties = {**other.device.properties, "address": address}
            found[other.device.name] = replace(
                other, device=replace(other.device, properties=properties)
            )
    return found
