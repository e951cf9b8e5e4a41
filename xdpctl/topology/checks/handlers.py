"""A device has one rx_handler: it is the port of one master, or macvlans stand on it.

netdev_rx_handler_register says EBUSY to the second. All macvlans and macvtaps of a device share
one handler; VLANs need none.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import MACVLANS, Finding, Stack


def check(stack: Stack) -> Iterator[Finding]:
    """A second master, or a macvlan on a port."""
    for port, masters in stack.masters.items():
        first = masters[0].device
        for master in masters[1:]:
            yield master, ("ports", port), f"{port} is a port of {first.name} already"
        for upper in stack.uppers.get(port, []):
            kind = upper.device.kind
            if kind in MACVLANS:
                message = f"{port} is a port of {first.name} and cannot carry a {kind} as well"
                yield upper, ("parent",), f"{message}: write parent: {first.name}"
