"""Links that are taken from others like them are what they would be if decoded alone."""

from __future__ import annotations

import random
import struct

import pytest

from tests.unit.host.test_decode import info, link, xdp
from xdpctl.host.attributes import attribute, u32
from xdpctl.host.decode import decode
from xdpctl.host.likeness import decode_all
from xdpctl.host.state import Link


def macvlan(number: int, *more: bytes, mtu: int = 1500, kind: str = "macvlan") -> bytes:
    address = attribute(1, bytes((2, 0, 0, 0, number >> 8, number & 255)))
    return link(
        number, f"t{number}", u32(13, number % 3), u32(4, mtu), u32(5, 2), *more, address,
        attribute(20, b"xdpctl:edge"), info(kind, u32(1, 4)), flags=0x1043,
    )  # fmt: skip


BROKEN = (KeyError, ValueError, struct.error)
MESSAGES = [macvlan(number) for number in range(7, 1400)]


def test_many_alike() -> None:
    found = decode_all(MESSAGES)
    assert found == tuple(map(decode, MESSAGES))
    assert len({one.properties["address"] for one in found}) == len(MESSAGES)
    assert not decode_all([])


@pytest.mark.parametrize(
    "other",
    [
        macvlan(9, mtu=1400), macvlan(9, kind="macvtap"), macvlan(9, xdp(2, (4, 17))),
        macvlan(9, attribute(37, u32(0, 1))), macvlan(9)[:-3], macvlan(9) + b"\0\0\0\0",
        macvlan(9).replace(b"xdpctl:edge", b"xdpctl:else"), macvlan(9, u32(10, 77)),
        macvlan(9, attribute(1, b"\2\3\4\5\6\7")), macvlan(9, attribute(3, b"other\0")),
        link(9, "t9"), link(9, "t9", attribute(1, b"\2\3\4\5")), macvlan(9)[:16],
    ],
)  # fmt: skip
def test_one_that_is_otherwise(other: bytes) -> None:
    messages = [*MESSAGES[:5], other, *MESSAGES[5:9]]
    assert decode_all(messages) == tuple(map(decode, messages))


def test_any_bytes_changed() -> None:
    source = random.Random(4)
    for _ in range(400):
        message = bytearray(macvlan(source.randrange(1, 500)))
        for _ in range(source.randrange(1, 4)):
            message[source.randrange(16, len(message))] = source.randrange(256)
        messages = [macvlan(3), macvlan(44), bytes(message), macvlan(123)]
        assert outcome(messages) == [alone(one) for one in messages]


def outcome(messages: list[bytes]) -> list[Link | str]:
    """What comes of all; where one cannot be decoded, of each by itself."""
    try:
        return [*decode_all(messages)]
    except BROKEN:
        return [alone(one) for one in messages]


def alone(message: bytes) -> Link | str:
    try:
        return decode(message)
    except BROKEN as error:
        return str(error)


def test_lower_devices_elsewhere() -> None:
    there = attribute(37, u32(0, 1))
    messages = [macvlan(number, there) for number in range(7, 12)]
    found = decode_all(messages)
    assert found == tuple(map(decode, messages))
    assert {one.far for one in found} == {2}
