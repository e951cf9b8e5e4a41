"""What of `xdp:` means something on which device, and who can run XDP natively."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import MACVLANS, STACKED, Finding, Stack
from xdpctl.topology.draft import Entry

ROOT_ONLY = ("mode", "unknown")
STACKED_ONLY = ("flood",)
EXCLUSIVE = ("bond", "team")
"""Masters that have a program or let their ports have one (bond_xdp_set, dev_xdp_attach)."""
NOT_NATIVE = ("bridge", "dummy", "vxlan")
"""Kinds without ndo_bpf (bond has it in some modes)."""

BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "802.3ad")
"""bond_xdp_check."""


def check(stack: Stack) -> Iterator[Finding]:
    """Keys in the wrong place, and programs where the kernel or the root takes none."""
    for entry in stack:
        if entry.draft is not None and entry.draft.values.get("xdp") is not None:
            yield from _misplaced(entry)
            if stack.masters:
                yield from _on_a_port(stack, entry)
        if entry.device.kind in MACVLANS and entry.device.properties.get("mode") == "source":
            yield from _unseen(stack, entry)


def _misplaced(entry: Entry) -> Iterator[Finding]:
    """Keys in the wrong place, and `mode: native` where there is none."""
    assert entry.draft is not None
    given = entry.draft.values["xdp"].model_fields_set
    stacked = entry.device.kind in STACKED
    for name in ROOT_ONLY if stacked else STACKED_ONLY:
        if name in given:
            where = "a root" if stacked else "a stacked device"
            message = f"{name} is for {where}, which {entry.device.name} is not"
            yield entry, ("xdp", name), message
    reason = _not_native(entry)
    if entry.device.xdp and entry.device.xdp.mode == "native" and reason:
        yield entry, ("xdp", "mode"), f"mode native: {reason}"


def _on_a_port(stack: Stack, entry: Entry) -> Iterator[Finding]:
    """A program that would stand on a bond's port: on the entry's root, or the entry itself."""
    wanted, root = entry.device.xdp, _root(stack, entry)
    if wanted is None or root is None or not (wanted.enabled and _enabled(root)):
        return
    if wanted.policy is None and wanted.unknown != "drop":
        return
    name, port = entry.device.name, root.device.name
    for master in stack.masters.get(port, ()):
        if master.device.kind in EXCLUSIVE:
            bond = master.device.name
            where = (
                f"is a port of {bond}" if root is entry else f"stands on {port}, a port of {bond}"
            )
            yield (
                entry,
                ("xdp",),
                (
                    f"{name} {where}: the kernel refuses a program on a port whose "
                    f"{master.device.kind} has one; "
                    f"put the policy on {bond} or on what stands on it"
                ),
            )


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
    """Why the kernel has no native XDP for it; empty if it may have."""
    device = entry.device
    if device.kind in NOT_NATIVE:
        return f"a {device.kind} has none"
    if device.kind != "bond":
        return ""
    mode = device.properties.get("mode", BOND_MODES[0])
    if mode not in BOND_MODES:
        return f"a bond has none in mode {mode}"
    if device.properties.get("xmit_hash_policy") == "vlan+srcmac" and mode in BOND_MODES[2:]:
        return "a bond has none with xmit_hash_policy vlan+srcmac"
    return ""
