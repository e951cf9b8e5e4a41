"""A device cannot stand on itself."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.order import cycles


def check(stack: Stack) -> Iterator[Finding]:
    """Each cycle once, where it leaves its first device."""
    devices = {name: entry.device for name, entry in stack.entries.items()}
    for cycle in cycles(devices):
        entry = stack.entries[cycle[0]]
        below = cycle[1] if len(cycle) > 1 else cycle[0]
        path = ("parent",) if entry.device.parent == below else ("ports", below)
        yield entry, path, f"a cycle: {' on '.join([*cycle, cycle[0]])}"
