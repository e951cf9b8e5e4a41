"""What of `xdp:` means something on which device, and who can run XDP natively."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from xdpctl.topology.checks.stack import MACVLANS, STACKED, Finding, Stack
from xdpctl.topology.draft import Entry

ROOT_ONLY = ("mode", "unknown")
STACKED_ONLY = ("flood",)
WHOLE = ("bond", "team")
"""Masters that get all that their ports receive: these have a stage in the master's pipeline."""
BRIDGES = ("bridge",)
NOT_NATIVE = ("bridge", "team", "dummy", "vxlan")
"""Kinds without ndo_bpf (bond has it in some modes)."""

BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "802.3ad")
"""bond_xdp_check."""


def check(stack: Stack) -> Iterator[Finding]:
    """Keys in the wrong place, and programs where the kernel or the root takes none."""
    for entry in stack:
        if entry.draft is not None and entry.draft.values.get("xdp") is not None:
            yield from _misplaced(stack, entry)
        if entry.device.kind in MACVLANS and entry.device.properties.get("mode") == "source":
            yield from _unseen(stack, entry)


def _misplaced(stack: Stack, entry: Entry) -> Iterator[Finding]:
    """Keys in the wrong place, and `mode: native` where there is none."""
    assert entry.draft is not None
    given = entry.draft.values["xdp"].model_fields_set
    stacked, of = entry.device.kind in STACKED, _master(stack, entry)
    stacked |= entry.device.deliver is not None
    for name in (*(ROOT_ONLY if stacked or of else ()), *(() if stacked else STACKED_ONLY)):
        if name in given:
            where = "a stacked device" if name in STACKED_ONLY else "a root"
            who = f"{entry.device.name}, a port of {of}," if of else entry.device.name
            yield entry, ("xdp", name), f"{name} is for {where}, which {who} is not"
    bridge = _master(stack, entry, BRIDGES)
    if bridge and entry.device.xdp and entry.device.xdp.unknown == "drop":
        message = f"unknown: drop at a port of {bridge} would drop all that the bridge gets from it"
        yield entry, ("xdp", "unknown"), message
    reason = _not_native(entry)
    if entry.device.xdp and entry.device.xdp.mode == "native" and reason:
        yield entry, ("xdp", "mode"), f"mode native: {reason}"


def _master(stack: Stack, entry: Entry, kinds: Collection[str] = WHOLE) -> str:
    """The master of one of these kinds that the device is a port of; of bonds and teams, it has a
    stage in the pipeline.
    """
    if entry.device.parent is not None:
        return ""
    masters = stack.masters.get(entry.device.name, ())
    return next((one.device.name for one in masters if one.device.kind in kinds), "")


def _unseen(stack: Stack, entry: Entry) -> Iterator[Finding]:
    """The root finds a device by the destination address, which says nothing in source mode."""
    root = _root(stack, entry)
    if root is None or not _enabled(root):
        return
    if root.device.xdp is not None and root.device.xdp.unknown == "drop":
        yield (
            entry,
            ("mode",),
            (
                f"source mode selects by source address; unknown: drop on {root.device.name} "
                f"would drop the frames of {entry.device.name}"
            ),
        )


def _root(stack: Stack, entry: Entry) -> Entry | None:
    """The lowest device below, or the device itself; None in a circle."""
    seen = {entry.device.name}
    while (below := stack.parent(entry)) is not None:
        if below.device.name in seen:
            return None
        seen.add(below.device.name)
        entry = below
    return entry


def _enabled(root: Entry) -> bool:
    """Whether the stack above runs XDP at all."""
    return root.device.xdp is None or root.device.xdp.enabled


def _not_native(entry: Entry) -> str:
    """Why the kernel has no native XDP for it, nor for its ports; empty if it may have."""
    device = entry.device
    if device.kind in NOT_NATIVE:
        return "" if device.ports else f"a {device.kind} has none"
    if device.kind != "bond":
        return ""
    mode = device.properties.get("mode", BOND_MODES[0])
    if mode not in BOND_MODES:
        return "" if device.ports else f"a bond has none in mode {mode}"
    if device.properties.get("xmit_hash_policy") == "vlan+srcmac" and mode in BOND_MODES[2:]:
        return "a bond has none with xmit_hash_policy vlan+srcmac"
    return ""
