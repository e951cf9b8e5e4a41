"""Netlink attributes: walking them and building them (linux/netlink.h, struct nlattr).

An attribute is a 16-bit length with its own header in it, a 16-bit number and the payload,
padded to 4 bytes. The two top bits of the number are flags.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

HEADER = struct.Struct("=HH")
NUMBER = 0x3FFF
"""Mask of the number, without NLA_F_NESTED and NLA_F_NET_BYTEORDER."""


def attribute(number: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    size = len(payload) + 4
    return HEADER.pack(size, number) + payload + bytes(-size & 3)


def text(number: int, string: str) -> bytes:
    """An attribute with a C string."""
    return attribute(number, string.encode() + b"\0")


def u32(number: int, value: int) -> bytes:
    """An attribute with an unsigned 32-bit number."""
    return attribute(number, value.to_bytes(4, "little" if LITTLE else "big"))


LITTLE = struct.pack("=H", 1) == b"\1\0"


def nest(number: int, attributes: Iterable[bytes]) -> bytes:
    """An attribute made of attributes.

    Without NLA_F_NESTED, which old kernels took for a part of the number and rtnetlink's links
    do not ask for.
    """
    return attribute(number, b"".join(attributes))


def index(buffer: bytes, at: int = 0, end: int | None = None) -> dict[int, bytes]:
    """The attributes of `buffer[at:end]` by number; of two with one number, the last.

    A length that makes no sense ends the walk, as the kernel's nla_ok does.
    """
    found: dict[int, bytes] = {}
    end = len(buffer) if end is None else end
    unpack = HEADER.unpack_from
    while at + 4 <= end:
        size, number = unpack(buffer, at)
        if size < 4 or at + size > end:
            break
        found[number & NUMBER] = buffer[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def walk(buffer: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes in their order, as (number, payload): for arrays, whose numbers repeat."""
    while at + 4 <= len(buffer):
        size, number = HEADER.unpack_from(buffer, at)
        if size < 4 or at + size > len(buffer):
            break
        yield number & NUMBER, buffer[at + 4 : at + size]
        at += (size + 3) & ~3


def string(payload: bytes | None) -> str:
    """A C string; what is not UTF-8 in it stays recognizable."""
    return (payload or b"").split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
