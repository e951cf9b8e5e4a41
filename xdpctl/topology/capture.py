"""Frames of a capture file: pcap in either byte order, micro- and nanoseconds, and pcapng.

Formats: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap and …-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

LARGEST = 64 * 1024 * 1024
ETHERNET = 1
"""LINKTYPE_ETHERNET."""

_ORDERS = {b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">",
           b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<"}  # fmt: skip
_SECTION, _INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}


def read(path: str) -> list[bytes]:
    """All frames of the file; ValueError (a sentence that goes on after its name) if it is none
    that can be read.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB, the limit")
    try:
        return list(frames(data))
    except struct.error:
        raise ValueError("is cut off in the middle of a record") from None


def frames(data: bytes) -> Iterator[bytes]:
    """The frames of a file's contents; struct.error where it ends too early."""
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return _pcapng(data)
    order = _ORDERS.get(data[:4])
    if order is None:
        raise ValueError("is neither pcap nor pcapng")
    return _pcap(data, order)


def _pcap(data: bytes, order: str) -> Iterator[bytes]:
    _check_link(struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF)
    at = 24
    while at < len(data):
        (length,) = struct.unpack_from(order + "I", data, at + 8)
        yield _taken(data, at + 16, length)
        at += 16 + length


def _pcapng(data: bytes) -> Iterator[bytes]:
    """Blocks of type, length, body, length again; each section has a byte order of its own."""
    order, links, at = "<", list[int](), 0
    while at < len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order, links = _BYTE_ORDERS.get(data[at + 8 : at + 12], ""), []
            if not order:
                raise ValueError("is no pcapng: a section without a byte order")
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4:
            raise ValueError(f"is no pcapng: a block of {length} bytes")
        body = _taken(data, at + 8, length - 12)
        if kind == _INTERFACE:
            links.append(struct.unpack_from(order + "H", body)[0])
        elif kind in (_PACKET, _SIMPLE, _ENHANCED):
            yield _block(kind, body, order, links)
        at += length


def _block(kind: int, body: bytes, order: str, links: list[int]) -> bytes:
    """The frame of a packet block."""
    if kind == _SIMPLE:  # of the first interface; cut to its snap length, which the block ends with
        number, at, (length,) = 0, 4, struct.unpack_from(order + "I", body)
        length = min(length, len(body) - at)
    else:
        form = "I" if kind == _ENHANCED else "H"
        number, at = struct.unpack_from(order + form, body)[0], 20
        (length,) = struct.unpack_from(order + "I", body, 12)
    if number >= len(links):
        raise ValueError("is no pcapng: a packet of an interface that is not described")
    _check_link(links[number])
    return _taken(body, at, length)


def _taken(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise struct.error
    return data[at : at + length]


def _check_link(number: int) -> None:
    if number != ETHERNET:
        raise ValueError(f"has no Ethernet frames, but link type {number}")
