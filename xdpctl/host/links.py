"""RTM_NEWLINK and RTM_DELLINK messages, written by the property tables of the kinds.

Reading them is `decode`, of `xdpctl.host.decode`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from zlib import crc32

from xdpctl.host.attributes import attribute, nest, text, u32
from xdpctl.host.decode import (
    IFLA_GROUP,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_INFO_SLAVE_DATA,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_VXLAN_LINK,
    decode,
)  # fmt: skip
from xdpctl.host.netlink import NLM_F_CREATE, NLM_F_EXCL, message
from xdpctl.host.rtnl import IFINFOMSG, RTM_DELLINK, RTM_NEWLINK
from xdpctl.topology.codecs import Bit, Presence, Reference
from xdpctl.topology.kinds import port_table, table
from xdpctl.topology.model import Device, Value
from xdpctl.topology.property import Composite, Place, Property

__all__ = [
    "AT_CREATION", "birthmark", "born_with", "change", "change_port", "create", "decode",
    "delete", "delete_group", "label", "move",
]  # fmt: skip

VETH_INFO_PEER = 1
IFLA_NET_NS_FD, IFLA_NEW_IFINDEX = 28, 49
AT_CREATION = frozenset(
    {"mtu", "address", "broadcast", "txqueuelen", "gso_max_size", "gso_max_segs", "gro_max_size"}
    | {"numtxqueues", "numrxqueues"}
)
"""What of the IFLA_* level the kernel takes from the message that creates (rtnl_create_link)."""
BIRTHMARK = 1 << 30
IFLA_ADDRESS = 1

Resolve = Mapping[str, int]
"""ifindexes by name, for properties that name another device."""


def birthmark(topology: str) -> int:
    """The device group that a device of the topology is born with: below 2^31, above any real.

    RTM_NEWLINK takes no alias at creation; between creation and label this says whose it is.
    """
    return (crc32(topology.encode()) & (BIRTHMARK - 1)) | BIRTHMARK


def label(topology: str) -> str:
    """The ifalias of a device that the topology owns."""
    return f"xdpctl:{topology}"


def born_with(kind: str, name: str) -> bool:
    """Whether creation brings the property; the others are for the `change` that comes after.

    (Creation by `create`, or by `xdpctl.host.tap.creating` for a tap.)
    """
    row = table(kind)[name]
    if row.place is Place.LINK:
        return name in AT_CREATION and kind != "tap"
    return row.place is Place.DATA


def create(
    device: Device,
    *,
    group: int,
    lower: int | None = None,
    index: Resolve | None = None,
    ifindex: int = 0,
    peer_ifindex: int = 0,
    netns: int | None = None,
) -> bytes:
    """The message that creates the device, down and without a label, in device group `group`.

    `lower` is the parent's ifindex, `ifindex` the one to have (0: whichever is next), and
    `peer_ifindex` the one for a veth's other end (the kernel heeds it beside `ifindex` only).
    `netns` is a descriptor of the network namespace that it is made in, if it is another than the
    socket's, where `lower` is. Carries the properties that `born_with` tells of; a veth's peer is
    born in the same group, in the socket's namespace. (A tap is not made by netlink:
    `xdpctl.host.tap`.)
    """
    rows = table(device.kind)
    chosen = [(rows[n], v) for n, v in device.properties.items() if born_with(device.kind, n)]
    here = [text(IFLA_IFNAME, device.name), u32(IFLA_GROUP, group)]
    here += encode((row, value) for row, value in chosen if row.place is Place.LINK)
    data = encode(((row, v) for row, v in chosen if row.place is Place.DATA), index or {})
    if device.kind == "veth":
        data = [born_in(one, group, peer_ifindex, device.behind) for one in data]
    if netns is not None:
        here.append(u32(IFLA_NET_NS_FD, netns))
    if lower is not None and device.kind == "vxlan":
        data.append(u32(IFLA_VXLAN_LINK, lower))
    elif lower is not None:
        here.append(u32(IFLA_LINK, lower))
    here.append(linkinfo(device.kind, data))
    flags = NLM_F_CREATE | NLM_F_EXCL
    return message(RTM_NEWLINK, flags, IFINFOMSG.pack(0, 0, ifindex, 0, 0) + b"".join(here))


def born_in(peer: bytes, group: int, ifindex: int = 0, address: str = "") -> bytes:
    """A VETH_INFO_PEER attribute with device group, ifindex and address added to the message in
    it.
    """
    (size,) = struct.unpack_from("=H", peer)
    head, rest = IFINFOMSG.pack(0, 0, ifindex, 0, 0), peer[4 + IFINFOMSG.size : size]
    own = attribute(IFLA_ADDRESS, mac(address)) if address else b""
    return attribute(VETH_INFO_PEER, head + rest + u32(IFLA_GROUP, group) + own)


def mac(address: str) -> bytes:
    """The bytes of a MAC address."""
    return bytes.fromhex(address.replace(":", ""))


def change(
    ifindex: int,
    kind: str,
    properties: Mapping[str, Value] | None = None,
    *,
    before: Mapping[str, Value] | None = None,
    alias: str | None = None,
    group: int | None = None,
    master: int | None = None,
    lower: int | None = None,
    index: Resolve | None = None,
) -> bytes:
    """The message that changes an existing device.

    `before` are its present values, which maps that the kernel merges (vlan's QoS maps) need.
    `alias` "" takes the label away. `master` 0 releases the port. `lower` is for a vxlan's.
    `group` is the device group (IFLA_GROUP), whatever a kind's own `group` means.
    """
    rows = table(kind)
    chosen = [(rows[name], value) for name, value in (properties or {}).items()]
    chosen = [(row, merged(row, (before or {}).get(row.name), value)) for row, value in chosen]
    here = encode((row, value) for row, value in chosen if row.place is Place.LINK)
    data = encode(((row, v) for row, v in chosen if row.place is Place.DATA), index or {})
    if lower is not None:
        data.append(u32(IFLA_VXLAN_LINK, lower))
    if alias is not None:
        here.append(attribute(IFLA_IFALIAS, alias.encode()))
    for number, value in ((IFLA_GROUP, group), (IFLA_MASTER, master)):
        if value is not None:
            here.append(u32(number, value))
    if data:
        here.append(linkinfo(kind, data))
    flags, mask = header_flags(chosen)
    return message(RTM_NEWLINK, 0, IFINFOMSG.pack(0, 0, ifindex, flags, mask) + b"".join(here))


def move(ifindex: int, netns: int, new: int = 0) -> bytes:
    """The message that moves a device to the network namespace of a descriptor, where it has the
    ifindex `new` (5.13; 0: its present one, if that is free, else the next).
    """
    parts = [u32(IFLA_NET_NS_FD, netns), *([u32(IFLA_NEW_IFINDEX, new)] if new else [])]
    return message(RTM_NEWLINK, 0, IFINFOMSG.pack(0, 0, ifindex, 0, 0) + b"".join(parts))


def change_port(
    ifindex: int,
    master_kind: str,
    properties: Mapping[str, Value],
    *,
    index: Resolve | None = None,
) -> bytes:
    """The message that changes a port's own properties; the device must be a port already.

    The kernel knows the master, so no kind is sent. (iproute2 sends `bond_slave`, for which the
    kernel then runs modprobe each time.)
    """
    rows = port_table(master_kind)
    data = encode(((rows[name], value) for name, value in properties.items()), index or {})
    info = nest(IFLA_LINKINFO, [nest(IFLA_INFO_SLAVE_DATA, data)])
    return message(RTM_NEWLINK, 0, IFINFOMSG.pack(0, 0, ifindex, 0, 0) + info)


def delete(ifindex: int) -> bytes:
    """The message that deletes a device."""
    return message(RTM_DELLINK, 0, IFINFOMSG.pack(0, 0, ifindex, 0, 0))


def delete_group(group: int) -> bytes:
    """The message that deletes every device of a device group at once.

    The kernel waits for its readers once for all of them, where one by one it waits 10-20 ms for
    each. Whoever sends it has made sure that nobody else's device is in the group.
    """
    return message(RTM_DELLINK, 0, IFINFOMSG.pack(0, 0, 0, 0, 0) + u32(IFLA_GROUP, group))


def linkinfo(kind: str, data: list[bytes]) -> bytes:
    """IFLA_LINKINFO with a kind and its data."""
    parts = [attribute(IFLA_INFO_KIND, kind.encode())]
    if data:
        parts.append(nest(IFLA_INFO_DATA, data))
    return nest(IFLA_LINKINFO, parts)


def merged(row: Property, before: Value | None, after: Value) -> Value:
    """What to send so that the kernel, which merges, ends with `after`."""
    merge = getattr(row.codec, "merge", None)
    result: Value = merge(before, after) if merge is not None and before is not None else after
    return result


def header_flags(chosen: Iterable[tuple[Property, Value]]) -> tuple[int, int]:
    """ifi_flags and ifi_change of the properties that are bits of them."""
    flags = mask = 0
    for row, value in chosen:
        if row.place is Place.HEADER and isinstance(row.codec, Bit):
            bits = struct.unpack("=II", row.codec.encode(value))
            flags, mask = flags | bits[0], mask | bits[1]
    return flags, mask


def encode(chosen: Iterable[tuple[Property, Value]], index: Resolve | None = None) -> list[bytes]:
    """The attributes of properties of one level; bits of one word become one attribute."""
    found: list[bytes] = []
    words: dict[int, tuple[int, int]] = {}
    for row, value in chosen:
        codec = row.codec
        if isinstance(codec, Bit):
            bits = struct.unpack("=II", codec.encode(value))
            value_, mask = words.get(row.attribute, (0, 0))
            words[row.attribute] = (value_ | bits[0], mask | bits[1])
        elif isinstance(codec, Composite):
            found += [attribute(number, payload) for number, payload in codec.encode_all(value)]
        elif isinstance(codec, Reference):
            found.append(u32(row.attribute, (index or {})[str(value)]))
        elif value or not isinstance(codec, Presence):
            found.append(attribute(row.attribute, codec.encode(value)))
    found += [attribute(number, struct.pack("=II", *word)) for number, word in words.items()]
    return found
