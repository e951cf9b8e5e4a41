"""A macvlan in mode passthru takes its lower device alone (macvlan_common_newlink: EINVAL).

The flag nopromisc is for that mode only (iproute2 refuses it elsewhere).
"""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import MACVLANS, Finding, Stack


def check(stack: Stack) -> Iterator[Finding]:
    """A passthru device with a sibling, and nopromisc without passthru."""
    for entry in stack.of(*MACVLANS):
        flags = entry.device.properties.get("flag", ())
        mode = entry.device.properties.get("mode", "vepa")
        if isinstance(flags, tuple) and "nopromisc" in flags and mode != "passthru":
            yield entry, ("flag",), f"flag nopromisc needs mode passthru, but mode is {mode}"
    for parent, uppers in stack.uppers.items():
        siblings = [entry for entry in uppers if entry.device.kind in MACVLANS]
        for entry in siblings:
            if entry.device.properties.get("mode") != "passthru" or len(siblings) == 1:
                continue
            other = next(one for one in siblings if one is not entry)
            message = f"mode passthru takes {parent} alone, but {other.device.name} is on it too"
            yield entry, ("mode",), message
