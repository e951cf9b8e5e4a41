"""tap: a device whose other end is a file descriptor (drivers/net/tun.c, linux/if_tun.h).

Made by ioctls on the tun device, not by RTM_NEWLINK; a dump shows it as kind `tun` of type tap.
The attribute numbers are those of IFLA_TUN_*. Whoever opens the device sets pi and vnet_hdr
anew, so these are not compared.
"""

from __future__ import annotations

import grp
import pwd
import struct
from collections.abc import Callable
from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import Flag, integer, shown
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Kind, Property

NOBODY = 0xFFFF_FFFF


@record
class Account:
    """Who may open the device: a number, or a name that this host knows; `any` for everybody."""

    what: str
    find: Callable[[str], int]

    def parse(self, raw: object) -> Value:
        """A number or a name."""
        number = integer(raw)
        if number is not None and 0 <= number < NOBODY:
            return number
        if raw == "any":
            return "any"
        try:
            return self.find(raw if isinstance(raw, str) else "")
        except KeyError:
            raise ValueError(f"must be a {self.what} of this host, not {shown(raw)}") from None

    def encode(self, value: Value) -> bytes:
        """The number."""
        return struct.pack("=I", NOBODY if value == "any" else value)

    def decode(self, payload: bytes) -> Value:
        """The number."""
        (number,) = struct.unpack_from("=I", payload)
        return "any" if number == NOBODY else int(number)

    def schema(self) -> dict[str, Any]:
        """A number or a name."""
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]}


USER = Account("user", lambda name: pwd.getpwnam(name).pw_uid)
GROUP = Account("group", lambda name: grp.getgrnam(name).gr_gid)


def owner(name: str, attribute: int, codec: Account, doc: str) -> Property:
    """A row for who may open it; the kernel takes no ioctl back to `any`."""
    return Property(
        name, attribute, codec, default="any", absent="any", recreate=frozenset({"any"}), doc=doc
    )


TAP = Kind(
    "tap",
    (
        owner("user", 1, USER, "who may open it"),
        owner("group", 2, GROUP, "which group may open it"),
        Property("pi", 4, Flag(), default=False, compared=False, doc="4 bytes before each frame"),
        Property("vnet_hdr", 5, Flag(), default=False, compared=False, doc="virtio header"),
        Property("multi_queue", 7, Flag(), Change.RECREATE, default=False, doc="many descriptors"),
    ),
    movable=True,
    has_parent=None,
    delivers=True,
    doc="a device whose other end is a file descriptor, as virtual machines use",
)
