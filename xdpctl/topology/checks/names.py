"""Names that the kernel takes: dev_valid_name, dev_alloc_name, sysctl_dev_name_is_allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack

MAX_BYTES = 15

_USUAL = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_BYTES}}}")
_KEPT = frozenset({".", "..", "all", "default"})

_BLANKS = frozenset(b" \t\n\v\f\r\xa0")
"""What the kernel's isspace() is true for: Latin-1, byte by byte."""


def check(stack: Stack) -> Iterator[Finding]:
    """Of every device and of every veth's other end."""
    for entry in stack:
        message = wrong(entry.device.name)
        if message:
            yield entry, (), f"name {message}"
        peer = entry.device.properties.get("peer")
        if isinstance(peer, str) and wrong(peer):
            yield entry, ("peer",), f"peer {wrong(peer)}"


def wrong(name: str) -> str:
    """What is wrong with a name, or nothing."""
    if _USUAL.fullmatch(name) and name not in _KEPT:
        return ""
    raw = name.encode()
    if not raw:
        return "is empty"
    if len(raw) > MAX_BYTES:
        return f"{name!r} has {len(raw)} bytes; the kernel takes at most {MAX_BYTES}"
    if name in _KEPT:
        return f"{name!r} is one that the kernel keeps for itself"
    for character in "/:%":
        if character in name:
            return f"{name!r} must not have {character!r} in it"
    if _BLANKS & set(raw):
        return f"{name!r} has a byte in it that the kernel takes for a blank"
    return "" if name.isprintable() else f"{name!r} must be printable"
