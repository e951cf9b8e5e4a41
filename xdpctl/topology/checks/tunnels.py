"""VLANs and VXLANs: which of them would be one and the same, and what must be there for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry
from xdpctl.topology.model import Value

RECEIVE_FLAGS = ("gbp", "gpe", "external", "remcsumrx", "udp6zerocsumrx")
"""VXLAN_F_RCV_FLAGS: devices that differ in one of them are apart."""


def check(stack: Stack) -> Iterator[Finding]:
    """Twins, and a VXLAN's addresses."""
    yield from _vlans(stack)
    yield from _running(stack)
    yield from _vxlans(stack)
    for entry in stack.of("vxlan"):
        yield from _addresses(entry)


def _vlans(stack: Stack) -> Iterator[Finding]:
    """register_vlan_dev: EEXIST."""
    taken: dict[tuple[object, ...], Entry] = {}
    for entry in stack.of("vlan"):
        given, parent = entry.device.properties, entry.device.parent
        number = given.get("id")
        first = taken.setdefault((parent, given.get("protocol", "802.1Q"), number), entry)
        if first is not entry:
            message = f"id {number} is that of {first.device.name}, also on {parent}"
            yield entry, ("id",), message


def _running(stack: Stack) -> Iterator[Finding]:
    """vlan_dev_open: ENETDOWN; and what is up goes down with the device below."""
    for entry in stack.of("vlan"):
        below, given = stack.parent(entry), entry.device.properties
        closed = below is not None and below.device.properties.get("state") == "down"
        if closed and given.get("state") == "up" and not given.get("loose_binding"):
            message = f"state up, but {entry.device.parent} below it is down: set loose_binding"
            yield entry, ("state",), message


def _vxlans(stack: Stack) -> Iterator[Finding]:
    """vxlan_vni_in_use: EEXIST."""
    taken: dict[tuple[object, ...], Entry] = {}
    for entry in stack.of("vxlan"):
        given = entry.device.properties
        if given.get("vnifilter") or _link_local(given.get("remote")):
            continue
        flags = tuple(bool(given.get(name)) for name in RECEIVE_FLAGS)
        number = given.get("id", 0)
        key = (number, given.get("dstport"), _version(given) == 6, flags)
        first = taken.setdefault(key, entry)
        if first is not entry:
            message = f"id {number} is that of {first.device.name}, on the same UDP port"
            yield entry, ("id",), message


def _addresses(entry: Entry) -> Iterator[Finding]:
    """vxlan_config_validate."""
    given = entry.device.properties
    remote, local = _address(given.get("remote")), _address(given.get("local"))
    if remote and local and remote.version != local.version:
        yield entry, ("local",), "local and remote must both be IPv4 or both IPv6"
    if local and local.is_multicast:
        yield entry, ("local",), f"local {local} is a multicast address"
    if remote and remote.is_multicast and entry.device.parent is None:
        yield entry, ("remote",), f"remote {remote} is a multicast address: it needs a parent"


def _version(given: object) -> int:
    assert hasattr(given, "get")
    found = _address(given.get("remote")) or _address(given.get("local"))
    return found.version if found else 4


def _link_local(value: Value | None) -> bool:
    found = _address(value)
    return bool(found and found.version == 6 and found.is_link_local)


def _address(value: Value | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    return None if value in (None, "any") else ipaddress.ip_address(str(value))
