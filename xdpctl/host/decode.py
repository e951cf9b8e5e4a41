"""A link as a dump shows it, read by the property tables of the kinds.

A plan reads thousands of these: the tables are turned into dictionaries once, and attributes
that nobody asks for are stepped over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

from xdpctl.host.attributes import HEADER, NUMBER, string
from xdpctl.host.attributes import index as attributes
from xdpctl.host.rtnl import IFINFOMSG
from xdpctl.host.state import Link, XdpAttachment
from xdpctl.record import record
from xdpctl.topology.codecs import Bit
from xdpctl.topology.kinds import COMMON, KINDS, port_table, table
from xdpctl.topology.model import Value
from xdpctl.topology.property import Codec, Composite, Place, Property

IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO = 3, 5, 10, 18
IFLA_IFALIAS, IFLA_GROUP, IFLA_LINK_NETNSID, IFLA_XDP = 20, 27, 37, 43
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_XDP_ATTACHED, IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID = 2, 4, 5
IFLA_VXLAN_LINK = 3
IFLA_TUN_TYPE, IFF_TAP = 3, 2
XDP_ATTACHED_DRV, XDP_ATTACHED_SKB, XDP_ATTACHED_HW, XDP_ATTACHED_MULTI = 1, 2, 3, 4

Read = Callable[[bytes], Value]
U32 = struct.Struct("=I").unpack


@record
class Reader:
    """A table turned round, for reading one level of attributes.

    single: by attribute number; words: the bits of one attribute; several: composite codecs;
    start: what absent attributes mean.
    """

    single: dict[int, tuple[str, Read]]
    words: dict[int, tuple[tuple[str, Bit], ...]]
    several: tuple[tuple[str, Composite], ...]
    start: dict[str, Value]

    def read(self, found: dict[int, bytes]) -> dict[str, Value]:
        """The values of the attributes."""
        values = dict(self.start)
        single = self.single
        for number, payload in found.items():
            if number in single:
                name, read = single[number]
                values[name] = read(payload)
        for number, bits in self.words.items():
            if number in found:
                (word,) = struct.unpack_from("=I", found[number])
                for name, bit in bits:
                    values[name] = bit.read(word)
        for name, codec in self.several:
            value = codec.decode_all(found)
            if value is not None:
                values[name] = value
        return values


def reader(rows: tuple[Property, ...], place: Place) -> Reader:
    """The reader of one place's rows."""
    single: dict[int, tuple[str, Read]] = {}
    words: dict[int, tuple[tuple[str, Bit], ...]] = {}
    several: list[tuple[str, Composite]] = []
    start: dict[str, Value] = {}
    for row in rows:
        if row.place is not place:
            continue
        if row.absent is not None:
            start[row.name] = row.absent
        if isinstance(row.codec, Bit):
            words[row.attribute] = (*words.get(row.attribute, ()), (row.name, row.codec))
        elif isinstance(row.codec, Composite):
            several.append((row.name, row.codec))
        else:
            codec: Codec = row.codec
            single[row.attribute] = (row.name, codec.decode)
    return Reader(single, words, tuple(several), start)


@cache
def of_kind(kind: str) -> Reader:
    """The reader of IFLA_INFO_DATA."""
    return reader(KINDS[kind].properties if kind in KINDS else (), Place.DATA)


@cache
def of_port(kind: str) -> Reader:
    """The reader of IFLA_INFO_SLAVE_DATA below a master of this kind."""
    return reader(tuple(port_table(kind).values()), Place.PORT)


EVERY = {row.attribute: row for kind in KINDS for row in table(kind).values()
         if row.place is Place.LINK}  # fmt: skip
"""Whatever stands at the IFLA_* level of any kind."""
LEVEL = reader((*COMMON, *EVERY.values()), Place.LINK).single
BITS = tuple(
    (row.name, row.codec)
    for row in COMMON
    if row.place is Place.HEADER and isinstance(row.codec, Bit)
)
STRUCTURE = frozenset(
    {
        IFLA_IFNAME,
        IFLA_LINK,
        IFLA_MASTER,
        IFLA_LINKINFO,
        IFLA_IFALIAS,
        IFLA_GROUP,
        IFLA_LINK_NETNSID,
        IFLA_XDP,
    }
)


def decode(message: bytes) -> Link:
    """The link of an ifinfomsg and its attributes (a message without its nlmsghdr).

    Properties that name a device (`primary`) are its ifindex; `xdpctl.host.snapshot` knows names.
    """
    _, _, ifindex, flags, _ = IFINFOMSG.unpack_from(message)
    properties: dict[str, Value] = {name: bit.read(flags) for name, bit in BITS}
    found: dict[int, bytes] = {}
    at, end = 16, len(message)
    unpack, level, structure = HEADER.unpack_from, LEVEL, STRUCTURE
    while at + 4 <= end:
        size, number = unpack(message, at)
        if size < 4 or at + size > end:
            break
        number &= NUMBER
        if number in level:
            name, read = level[number]
            properties[name] = read(message[at + 4 : at + size])
        if number in structure:
            found[number] = message[at + 4 : at + size]
        at += (size + 3) & ~3
    kind, port, elsewhere = linkinfo(found.get(IFLA_LINKINFO, b""), properties)
    lower = elsewhere if elsewhere is not None else number_of(found.get(IFLA_LINK))
    away = IFLA_LINK_NETNSID in found
    return Link(
        ifindex=ifindex,
        name=string(found.get(IFLA_IFNAME)),
        kind=kind,
        properties=properties,
        lower=None if away else lower,
        lower_elsewhere=away,
        far=lower if away else None,
        master=number_of(found.get(IFLA_MASTER)),
        alias=string(found.get(IFLA_IFALIAS)),
        group=number_of(found.get(IFLA_GROUP)) or 0,
        port=port,
        xdp=attachment(found.get(IFLA_XDP, b"")),
    )


def linkinfo(
    payload: bytes, properties: dict[str, Value]
) -> tuple[str, dict[str, Value], int | None]:
    """Kind, the port's own properties and a vxlan's lower device; adds the kind's properties."""
    if not payload:
        return "", {}, None
    info = attributes(payload)
    kind = string(info.get(IFLA_INFO_KIND))
    data = attributes(info.get(IFLA_INFO_DATA, b""))
    if kind == "tun" and data.get(IFLA_TUN_TYPE) == bytes((IFF_TAP,)):
        kind = "tap"
    if kind in KINDS:
        properties |= of_kind(kind).read(data)
    port: dict[str, Value] = {}
    if IFLA_INFO_SLAVE_DATA in info:
        of = of_port(string(info.get(IFLA_INFO_SLAVE_KIND)))
        port = of.read(attributes(info[IFLA_INFO_SLAVE_DATA]))
    return kind, port, number_of(data.get(IFLA_VXLAN_LINK)) if kind == "vxlan" else None


def number_of(payload: bytes | None) -> int | None:
    """An ifindex; 0 and nothing are none."""
    return int(U32(payload)[0]) or None if payload else None


def attachment(payload: bytes) -> XdpAttachment | None:
    """IFLA_XDP: which program runs, and how. Of several (native and generic) the native one."""
    found = attributes(payload)
    attached = found.get(IFLA_XDP_ATTACHED, b"\0")[0]
    if attached == XDP_ATTACHED_MULTI:
        first = next((one for one in (5, 7, 6) if one in found), IFLA_XDP_DRV_PROG_ID)
        attached = {5: XDP_ATTACHED_DRV, 7: XDP_ATTACHED_HW, 6: XDP_ATTACHED_SKB}[first]
        program = number_of(found.get(first))
    else:
        program = number_of(found.get(IFLA_XDP_PROG_ID))
    if attached == XDP_ATTACHED_DRV:
        return XdpAttachment("native", program or 0)
    if attached == XDP_ATTACHED_SKB:
        return XdpAttachment("generic", program or 0)
    return XdpAttachment("offload", program or 0) if attached == XDP_ATTACHED_HW else None
