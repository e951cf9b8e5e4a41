"""The two ends of a veth pair: if the file has both, they must name each other."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry


def check(stack: Stack) -> Iterator[Finding]:
    """Peers that are not, and other ends that are used but not listed."""
    ends: dict[object, Entry] = {}
    for entry in stack.of("veth"):
        name, peer = entry.device.name, entry.device.properties.get("peer")
        other = stack.entries.get(str(peer))
        first = ends.setdefault(peer, entry)
        if peer == name:
            yield entry, ("peer",), f"{name} cannot be its own peer"
        elif first is not entry:
            yield entry, ("peer",), f"peer {peer} is that of {first.device.name}"
        elif other and other.device.kind != "veth":
            yield entry, ("peer",), f"peer {peer} is a {other.device.kind} in this topology"
        elif other and other.device.properties.get("peer") != name:
            yield entry, ("peer",), f"peer {peer} has another peer"
