"""veth: a pair of devices, what enters one leaves the other (drivers/net/veth.c, linux/veth.h).

A dump shows no VETH_INFO_PEER: the peer is the device that IFLA_LINK points to, whose name only
the whole dump tells, and not even that once the peer lives in another namespace.
"""

from __future__ import annotations

import struct
from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import NAME_SCHEMA, device_name
from xdpctl.topology.kinds.common import QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Kind, Property

IFLA_IFNAME = 3
IFINFOMSG = bytes(16)


@record
class Peer:
    """The other end's name, in a message of its own (ifinfomsg, IFLA_IFNAME) within the nest."""

    def parse(self, raw: object) -> Value:
        """A device's name."""
        return device_name(raw)

    def encode(self, value: Value) -> bytes:
        """An ifinfomsg and the name."""
        name = str(value).encode() + b"\0"
        return (
            IFINFOMSG
            + struct.pack("=HH", 4 + len(name), IFLA_IFNAME)
            + name.ljust((len(name) + 3) & ~3, b"\0")
        )

    def decode(self, payload: bytes) -> Value:
        """The name out of such a message."""
        (size,) = struct.unpack_from("=H", payload, len(IFINFOMSG))
        return payload[len(IFINFOMSG) + 4 : len(IFINFOMSG) + size].rstrip(b"\0").decode()

    def schema(self) -> dict[str, Any]:
        """A device's name."""
        return NAME_SCHEMA


VETH = Kind(
    "veth",
    (
        Property("peer", 1, Peer(), Change.RECREATE, required=True, doc="name of the other end"),
        *QUEUES,
    ),
    movable=True,
    has_parent=None,
    delivers=True,
    doc="one end of a pair; creating or deleting either end does so to both",
)
