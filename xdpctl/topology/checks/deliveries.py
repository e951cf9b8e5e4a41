"""Devices that frames are delivered to by redirect: which, of whom, and what else they can be."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import MACVLANS, Finding, Stack
from xdpctl.topology.draft import Entry
from xdpctl.topology.kinds import KINDS


def check(stack: Stack) -> Iterator[Finding]:
    """`parent` and `deliver` go together; `egress` is theirs; both ends have one address."""
    for entry in stack:
        if entry.device.deliver is not None:
            yield from _delivered(stack, entry)
            continue
        device = entry.device
        if device.parent is not None and KINDS[device.kind].delivers:
            message = f"a {device.kind} has a parent with deliver: redirect only"
            yield entry, ("parent",), message
        if device.xdp is not None and device.xdp.egress is not None:
            message = f"egress is for a device with deliver: redirect, which {device.name} is not"
            yield entry, ("xdp", "egress"), message


def _delivered(stack: Stack, entry: Entry) -> Iterator[Finding]:
    name = entry.device.name
    if entry.device.parent is None:
        message = f"deliver: redirect needs a parent, whose frames {name} gets"
        yield entry, ("deliver",), message
    if entry.device.netns:
        message = f"{name} must be where its parent is; its other end may have a netns"
        yield entry, ("netns",), message
    yield from _parent(stack, entry)
    other = stack.entries.get(str(entry.device.properties.get("peer")))
    address = other.device.properties.get("address") if other is not None else None
    if other is not None and address is not None and address != entry.device.behind:
        message = f"address {entry.device.behind} is that of the other end, which has {address}"
        yield entry, ("address",), message
    if other is not None and other.device.deliver is not None:
        message = f"deliver: frames for {name} would come out of {other.device.name}, delivered too"
        yield entry, ("deliver",), message
    for master in stack.masters.get(name, ()):
        message = f"{name}: what comes from it is redirected, so it is no port"
        yield master, ("ports", name), message
    for upper in stack.uppers.get(name, ()):
        message = f"{name} has deliver: redirect, so no frames arrive at it: nothing stands on it"
        yield upper, ("parent",), message


def _parent(stack: Stack, entry: Entry) -> Iterator[Finding]:
    """It must be a root: what stands on one gets no raw frames."""
    below = stack.parent(entry)
    if below is None:
        return
    parent, name = below.device, entry.device.name
    if parent.stands_on is not None:
        message = f"frames are redirected from a root, but {parent.name} stands on {parent.parent}"
        yield entry, ("parent",), message
    if parent.kind == "bridge":
        message = f"frames are redirected from a device that receives them, and {parent.name} does "
        yield entry, ("parent",), message + f"not: make {name} a port of it, without deliver"
    for master in stack.masters.get(parent.name, ()):
        message = f"{parent.name} is a port of {master.device.name}: "
        better = f"write parent: {master.device.name}"
        if master.device.kind == "bridge":
            better = f"make {name} a port of that as well, without deliver"
        yield entry, ("parent",), message + better
    for sibling in stack.uppers.get(parent.name, ()):
        kind, mode = sibling.device.kind, sibling.device.properties.get("mode")
        if kind in MACVLANS and mode == "passthru":
            message = f"{sibling.device.name} in mode passthru takes every frame of {parent.name}"
            yield entry, ("parent",), message
