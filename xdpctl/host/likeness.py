"""The links of one dump, most of which are like one that was decoded before.

Thousands of macvlans differ in their name, ifindex and address; all else is decoded once for
those that are alike. A message is compared as one large number, in which only those bytes count
that a Link is made from, and the head of every attribute: so it is read as it would be alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from xdpctl.host.attributes import HEADER, NUMBER, string
from xdpctl.host.decode import IFLA_IFNAME, LEVEL, STRUCTURE, decode
from xdpctl.host.rtnl import IFINFOMSG
from xdpctl.host.state import Link

IFLA_ADDRESS: Final = 1
_FIRST: Final = slice(16, 20)
_COUNTING: Final = (LEVEL.keys() | STRUCTURE) - {IFLA_IFNAME, IFLA_ADDRESS}
_HEAD: Final = b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
"""All of an ifinfomsg but its ifindex."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the attributes of a message stand; `mask` covers what must be equal in like ones."""

    mask: int
    name: slice
    address: slice


def decode_all(messages: Iterable[bytes]) -> Iterator[Link]:
    """The links of ifinfomsgs with their attributes, as `decode` reads each."""
    layouts: dict[tuple[int, bytes], _Layout | None] = {}
    known: dict[tuple[int, int], Link] = {}
    for message in messages:
        shape = (len(message), message[_FIRST])
        layout = layouts.get(shape)
        if layout is not None:
            number = int.from_bytes(message, "little")
            like = known.get((len(message), number & layout.mask))
            if like is not None:
                yield _other(like, message, layout)
                continue
        layout = layouts[shape] = _layout(message)
        link = decode(message)
        if layout is not None:
            known[len(message), int.from_bytes(message, "little") & layout.mask] = link
        yield link


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
