"""macvlan and macvtap: devices with MACs of their own on one lower device (drivers/net/macvlan.c).

BC_QUEUE_LEN is what was asked of this device; …_USED is the maximum over its siblings, never
compared. A dump leaves BC_CUTOFF out while it is 1, and it belongs to the lower device.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import Enum, FlagSet, Mac, each, elements, s32, u32
from xdpctl.topology.kinds.common import PROTODOWN, QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Composite, Kind, Property

MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}
FLAGS = {"nopromisc": 1, "nodst": 2}
MACADDR_MODE, MACADDR, MACADDR_DATA, MACADDR_COUNT = 3, 4, 5, 6
FLUSH, SET = 2, 3


@record
class SourceAddresses(Composite):
    """The source MACs that select a device in mode source: a sorted tuple (the kernel hashes)."""

    attributes: tuple[int, ...] = (MACADDR_MODE, MACADDR_DATA, MACADDR_COUNT)

    def parse(self, raw: object) -> Value:
        """A list of MAC addresses."""
        return tuple(sorted({str(Mac().parse(one)) for one in elements(raw)}))

    def encode_all(self, value: Value) -> tuple[tuple[int, bytes], ...]:
        """Set the whole list, or flush it."""
        head = struct.pack("=HH", 10, MACADDR)
        nest = b"".join(head + Mac().encode(one) + b"\0\0" for one in each(value))
        if not nest:
            return ((MACADDR_MODE, struct.pack("=I", FLUSH)),)
        return ((MACADDR_MODE, struct.pack("=I", SET)), (MACADDR_DATA, nest))

    def decode_all(self, found: Mapping[int, bytes]) -> Value | None:
        """The nest of a dump; none without it."""
        nest = found.get(MACADDR_DATA, b"")
        return tuple(sorted(nest[at + 4 : at + 10].hex(":") for at in range(0, len(nest), 12)))

    def schema(self) -> dict[str, Any]:
        """A MAC or a list of them."""
        one = Mac().schema()
        return {"anyOf": [one, {"type": "array", "items": one}]}


PROPERTIES: tuple[Property, ...] = (
    Property(
        "mode",
        1,
        Enum("=I", MODES),
        default="vepa",
        recreate=frozenset({"passthru"}),
        doc="how it talks to its siblings on the same lower device",
    ),
    Property("flag", 2, FlagSet("=H", FLAGS), default=(), doc="nopromisc and nodst"),
    Property(
        "macaddr",
        MACADDR_DATA,
        SourceAddresses(),
        default=(),
        only_with=(("mode", ("source",)),),
        doc="source MACs whose frames it gets",
    ),
    Property("bcqueuelen", 7, u32(), default=1000, doc="broadcast queue, packets"),
    Property(
        "bclim",
        9,
        s32(),
        default=1,
        absent=1,
        shared=True,
        doc="more receivers than these of a multicast address: queued; below 0: never (6.4)",
    ),
    PROTODOWN,
    *QUEUES,
)

MACVLAN = Kind(
    "macvlan",
    PROPERTIES,
    has_parent=True,
    rx_handler=True,
    movable=True,
    doc="a device with a MAC of its own",
)
MACVTAP = Kind(
    "macvtap",
    PROPERTIES,
    has_parent=True,
    rx_handler=True,
    movable=True,
    doc="a macvlan that a VM opens as tap",
)
