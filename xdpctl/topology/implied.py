"""Ports that the file does not list as devices: NICs that exist already, with nothing to set.

`ports: [eth1, eth2]` is enough for a bond of two NICs. It is so for all ports of a master or for
none, so that a misspelt port beside listed ones stays an error.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from xdpctl.topology.draft import Entry
from xdpctl.topology.model import Device, Location

ALIKE = 0.75


def with_implied(entries: dict[str, Entry], broken: set[str]) -> dict[str, Entry]:
    """The devices and, after them, those that only a `ports:` names."""
    found = dict(entries)
    masters = [entry for entry in entries.values() if entry.device.ports]
    if not masters:
        return found
    peers = {str(entry.device.properties.get("peer")) for entry in entries.values()}
    for entry in masters:
        ports = entry.device.ports
        if entry.draft is None or any(port in entries or port in broken for port in ports):
            continue
        if any(port in peers or _misspelt(port, [*entries, *broken]) for port in ports):
            continue
        for port in ports:
            node = entry.port_nodes[port]
            place = Location(entry.draft.file, node.line, node.column)
            found.setdefault(port, Entry(Device(port, "physical", place), None))
    return found


def _misspelt(port: str, names: list[str]) -> bool:
    """Whether the port is nearly a listed device (eth1 is not nearly eth0: a number differs)."""
    shape = _shape(port)
    return any(
        _shape(name) != shape and SequenceMatcher(None, port, name).ratio() >= ALIKE
        for name in names
    )


def _shape(name: str) -> str:
    return re.sub(r"[0-9]+", "#", name)
