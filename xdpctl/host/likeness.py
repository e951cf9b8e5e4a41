"""The links of one dump, most of which are like one that was decoded before.

Thousands of macvlans differ in their name, ifindex and address; all else is decoded once for
those that are alike. A message is compared as one large number, in which only those bytes count
that a Link is made from, and the head of every attribute: so it is read as it would be alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from xdpctl.host.attributes import HEADER, NUMBER, string
from xdpctl.host.decode import IFLA_IFNAME, LEVEL, STRUCTURE, decode
from xdpctl.host.rtnl import IFINFOMSG
from xdpctl.host.state import Link
from xdpctl.record import record

IFLA_ADDRESS: Final = 1
_FIRST: Final = slice(16, 20)
_COUNTING: Final = (LEVEL.keys() | STRUCTURE) - {IFLA_IFNAME, IFLA_ADDRESS}
_HEAD: Final = b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
"""All of an ifinfomsg but its ifindex."""


@record
class _Layout:
    """Where the attributes of a message stand; `mask` covers what must be equal in like ones."""

    mask: int
    name: slice
    address: slice

    def key(self, message: bytes) -> tuple[int, int]:
        """Equal for messages that are alike."""
        return len(message), int.from_bytes(message, "little") & self.mask


def decode_all(messages: Iterable[bytes]) -> tuple[Link, ...]:
    """The links of ifinfomsgs with their attributes, as `decode` reads each."""
    return tuple(map(_Reader().link, messages))


class _Reader:
    """Decodes the messages of one dump."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[int, bytes], _Layout | None] = {}
        self._known: dict[tuple[int, int], Link] = {}

    def link(self, message: bytes) -> Link:
        """The link of a message, decoded or taken from one that is like it."""
        shape = (len(message), message[_FIRST])
        layout = self._layouts.get(shape)
        if layout is not None:
            like = self._known.get(layout.key(message))
            if like is not None:
                return _other(like, message, layout)
        layout = self._layouts[shape] = _layout(message)
        link = decode(message)
        if layout is not None:
            self._known[layout.key(message)] = link
        return link


def _other(like: Link, message: bytes, layout: _Layout) -> Link:
    """A link like another one, but for what is the message's own."""
    name, read = LEVEL[IFLA_ADDRESS]
    return Link(
        ifindex=IFINFOMSG.unpack_from(message)[2],
        name=string(message[layout.name]),
        kind=like.kind,
        properties={**like.properties, name: read(message[layout.address])},
        lower=like.lower,
        lower_elsewhere=like.lower_elsewhere,
        far=like.far,
        master=like.master,
        alias=like.alias,
        group=like.group,
        port=like.port,
        xdp=like.xdp,
    )


def _layout(message: bytes) -> _Layout | None:
    """The layout of a message; None where it lacks what is a device's own, or ends amiss."""
    mask, places = bytearray(_HEAD), {}
    end = len(message)
    while len(mask) + 4 <= end:
        at = len(mask)
        size, number = HEADER.unpack_from(message, at)
        number &= NUMBER
        if size < 4 or at + size > end:
            return None
        places[number] = slice(at + 4, at + size)
        mask += b"\xff\xff\xff\xff"
        mask += (b"\xff" if number in _COUNTING else b"\0") * (size - 4) + bytes(-size & 3)
    if not {IFLA_IFNAME, IFLA_ADDRESS} <= places.keys():
        return None
    return _Layout(int.from_bytes(mask, "little"), places[IFLA_IFNAME], places[IFLA_ADDRESS])
