"""MTUs: a device's own limits, and those that the device below sets."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry

VXLAN_OVERHEAD = {4: 50, 6: 70}
"""IP, UDP, VXLAN and the inner Ethernet header (vxlan_headroom)."""

LIMITS = {"vlan": (0, 65535), "tap": (68, 65521), "dummy": (0, 2**31 - 1)}
DEFAULT_LIMITS = (68, 65535)


def check(stack: Stack) -> Iterator[Finding]:
    """Of every device that has one in the file."""
    for entry in stack:
        mtu, kind = entry.device.properties.get("mtu"), entry.device.kind
        if not isinstance(mtu, int):
            continue
        low, high = LIMITS.get(kind, DEFAULT_LIMITS)
        if kind != "physical" and not low <= mtu <= high:
            yield entry, ("mtu",), f"mtu {mtu}: a {kind} takes {low}-{high}"
            continue
        limit, below = _limit(stack, entry)
        if limit is not None and mtu > limit:
            yield entry, ("mtu",), f"mtu {mtu} is above the {limit} that {below} below it allows"


def _limit(stack: Stack, entry: Entry) -> tuple[int | None, str]:
    """The most that the devices below allow, and which of them says so.

    macvlan_change_mtu, vlan_dev_change_mtu, vxlan_change_mtu; a device without an MTU of its own
    in the file has at most what is below it.
    """
    if entry.device.deliver:
        return None, ""
    overhead = 0
    if entry.device.kind == "vxlan":
        given = entry.device.properties
        if given.get("gpe"):
            return None, ""
        wide = ":" in f"{given.get('remote', '')}{given.get('local', '')}"
        overhead = VXLAN_OVERHEAD[6 if wide else 4]
    seen = {entry.device.name}
    below = stack.parent(entry)
    while below is not None and below.device.name not in seen:
        mtu = below.device.properties.get("mtu")
        if isinstance(mtu, int):
            return mtu - overhead, below.device.name
        seen.add(below.device.name)
        below = stack.parent(below)
    return None, ""
