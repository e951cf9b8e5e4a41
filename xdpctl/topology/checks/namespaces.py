"""`netns:`: what the kernel, and the datapath, cannot do over the border of a namespace."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry


def check(stack: Stack) -> Iterator[Finding]:
    """Devices elsewhere among ports, below others, and as roots of a datapath."""
    for entry in stack:
        device = entry.device
        for port in device.ports:
            other = stack.entries.get(port)
            if other is not None and other.device.netns:
                message = f"{port} is in network namespace {other.device.netns}: no port can be"
                yield entry, ("ports", port), message
        below = stack.parent(entry)
        if below is not None and below.device.netns not in ("", device.netns):
            yield entry, ("netns" if device.netns else "parent",), _apart(entry, below)
        if device.netns and device.parent is None and device.xdp is not None:
            message = (
                f"{device.name} would be the root of a datapath in network namespace "
                f"{device.netns}: a root is in the topology's own"
            )
            yield entry, ("xdp",), message


def _apart(entry: Entry, below: Entry) -> str:
    """What stands on a device elsewhere is there as well."""
    name, place = below.device.name, below.device.netns
    return (
        f"{entry.device.name} stands on {name}, which is in network namespace {place}: "
        f"write netns: {place}"
    )
