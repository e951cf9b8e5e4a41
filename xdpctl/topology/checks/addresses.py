"""MAC addresses on one lower device: macvlan_addr_busy says EADDRINUSE when the second goes up."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import MACVLANS, Finding, Stack
from xdpctl.topology.draft import Entry


def check(stack: Stack) -> Iterator[Finding]:
    """Two devices that are found by one address, or one with its parent's."""
    for parent, uppers in stack.uppers.items():
        below = stack.entries.get(parent)
        own = _own(below) if below else None
        taken: dict[object, Entry] = {}
        for entry in uppers:
            device = entry.device
            address = device.behind or device.properties.get("address")
            if not (device.kind in MACVLANS or device.deliver) or address is None:
                continue
            if device.properties.get("mode") == "passthru":
                if own not in (None, address):
                    message = f"address: in mode passthru it is {parent}'s too, which has {own}"
                    yield entry, ("address",), message
                continue
            first = taken.setdefault(address, entry)
            if address == own:
                yield entry, ("address",), f"address {address} is that of the parent, {parent}"
            elif first is not entry:
                yield entry, ("address",), _shared(first, entry)


def _own(entry: Entry) -> object:
    device = entry.device
    return device.properties.get("address", device.match.get("mac"))


def _shared(first: Entry, entry: Entry) -> str:
    device = entry.device
    address, parent = device.behind or device.properties["address"], device.parent
    if first.draft is entry.draft and first.draft is not None:
        name = first.draft.key.text
        return f"address {address} for all of {name}: write {{base: …}} to count up from one"
    return f"address {address} is that of {first.device.name}, also on {parent}"
