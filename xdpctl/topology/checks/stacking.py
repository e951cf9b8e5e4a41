"""What the kernel lets stand on what."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import MACVLANS, Finding, Stack

LOOPBACK = "lo"


def check(stack: Stack) -> Iterator[Finding]:
    """macvlans on macvlans, bridges in bridges, and the loopback device below anything."""
    for entry in stack:
        device = entry.device
        below = stack.parent(entry)
        if below and device.kind in MACVLANS and below.device.kind in MACVLANS:
            real = below.device.parent
            yield (
                entry,
                ("parent",),
                (
                    f"{device.name} would be a {device.kind} on the {below.device.kind} "
                    f"{below.device.name}: the kernel puts it beside that, on {real}; "
                    f"write parent: {real}"
                ),
            )
        if device.parent == LOOPBACK:
            yield entry, ("parent",), f"no {device.kind} can stand on the loopback device"
        for port in device.ports:
            other = stack.entries.get(port)
            if port == LOOPBACK:
                yield entry, ("ports", port), "the loopback device cannot be a port"
            elif other and device.kind == other.device.kind == "bridge":
                yield entry, ("ports", port), f"{port}: a bridge cannot be a port of a bridge"
