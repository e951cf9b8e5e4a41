"""What of `xdp:` means something on which device, and who can run XDP natively."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import STACKED, Finding, Stack
from xdpctl.topology.draft import Entry

ROOT_ONLY = ("mode", "unknown")
STACKED_ONLY = ("flood",)
NOT_NATIVE = ("bridge", "dummy", "vxlan")
"""Kinds without ndo_bpf (bond has it in some modes)."""

BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "802.3ad")
"""bond_xdp_check."""


def check(stack: Stack) -> Iterator[Finding]:
    """Keys in the wrong place, and `mode: native` where there is none."""
    for entry in stack:
        if entry.draft is None or entry.draft.values.get("xdp") is None:
            continue
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
