"""What stands on what, and what shuts out what: the kernel's rules as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zlib import crc32

from xdpctl.host.state import Host, Link
from xdpctl.topology.model import Value

VANISH = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "vxlan", "macsec"})
"""Kinds that the kernel deletes together with their lower device (NETDEV_UNREGISTER)."""

CLAMPED = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "macsec"})
"""Kinds whose MTU the kernel lowers together with the lower device's (NETDEV_CHANGEMTU)."""

RX_HANDLERS = {
    "macvlan": "macvlan",
    "macvtap": "macvlan",
    "ipvlan": "ipvlan",
    "ipvtap": "ipvlan",
    "macsec": "macsec",
}
"""Kinds that take their lower device's rx_handler, by the driver that shares it."""

NOT_RX_HANDLERS = frozenset({"vrf"})
"""Kinds of master that take no rx_handler from their ports."""

CLOSED_BY_MASTER = frozenset({"bond", "team"})
"""Kinds of master whose ports must be down to enter, and are down when they leave."""

FORGETFUL = frozenset({"bond"})
"""Kinds of master that lose their address with their last port (__bond_release_one)."""

MACVLANS = frozenset({"macvlan", "macvtap"})

Claim = tuple[Value | None, ...]
"""Something that only one device can have; taken while the device exists, or while it is up."""


def lower_of(link: Link) -> int | None:
    """The ifindex of what the link stands on. A veth's IFLA_LINK is its peer, which is no lower."""
    return None if link.kind == "veth" else link.lower


def uppers(host: Host) -> dict[int, list[Link]]:
    """The links that stand on each link, by its ifindex."""
    found: dict[int, list[Link]] = {}
    for link in host.links:
        lower = lower_of(link)
        if lower is not None:
            found.setdefault(lower, []).append(link)
    return found


def ports(host: Host) -> dict[int, list[Link]]:
    """The ports of each master, by its ifindex."""
    found: dict[int, list[Link]] = {}
    for link in host.links:
        if link.master is not None:
            found.setdefault(link.master, []).append(link)
    return found


def peer_of(host: Host, link: Link) -> Link | None:
    """The other end of a veth, if it is in this namespace."""
    if link.kind != "veth" or link.lower is None or link.lower_elsewhere:
        return None
    return host.by_index.get(link.lower)


def existing_claim(kind: str, lower: str | None, properties: Mapping[str, Value]) -> Claim | None:
    """What a device of the kind has to itself from its creation on (the kernel: EEXIST, EINVAL)."""
    if kind == "vlan":
        return ("vlan", lower, properties.get("protocol", "802.1Q"), properties.get("id"))
    if kind == "vxlan" and "id" in properties:
        return ("vxlan", properties["id"], properties.get("dstport"))
    return None


def running_claim(kind: str, lower: str | None, properties: Mapping[str, Value]) -> Claim | None:
    """What a device of the kind has to itself while it is up (macvlan_addr_busy: EADDRINUSE).

    Another may have the address at its creation, but neither go up with it nor change to it.
    """
    if kind in MACVLANS and properties.get("mode") != "passthru" and "address" in properties:
        return ("address", lower, properties["address"])
    return None


def spare_address(name: str) -> str:
    """A locally administered unicast address that is a device's for a moment only."""
    return (b"\x0e\x5a" + crc32(name.encode()).to_bytes(4, "big")).hex(":")


def lower_first(links: Iterable[Link]) -> list[Link]:
    """The links, each after the one that it stands on and after its ports."""
    pending = {link.ifindex: link for link in links}
    below: dict[int, list[int]] = {index: [] for index in pending}
    for link in pending.values():
        lower = lower_of(link)
        if lower in pending:
            below[link.ifindex].append(lower)
        if link.master in pending:
            below[link.master].append(link.ifindex)
    result: list[Link] = []
    seen: set[int] = set()
    for index in pending:
        stack = [index]
        while stack:
            top = stack[-1]
            waiting = [one for one in below[top] if one not in seen]
            if top in seen or not waiting:
                stack.pop()
                if top not in seen:
                    seen.add(top)
                    result.append(pending[top])
            else:
                below[top] = []
                stack.extend(waiting)
    return result
