"""Codecs: a property between YAML, its canonical value and the kernel's bytes.

Canonical values are what a plan compares: numbers are int, flags are bool, keywords are the
iproute2 spelling, addresses are lower case, lists without an order are sorted. Byte order is
the host's, unless the codec says big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from xdpctl.record import record
from xdpctl.topology.address import NAME_SCHEMA, Addresses, Mac, Reference, address, device_name
from xdpctl.topology.model import Value
from xdpctl.topology.raw import (
    SWITCH_SCHEMA,
    each,
    elements,
    integer,
    loosely,
    nearest,
    shown,
    switch,
)

__all__ = [
    "NAME_SCHEMA", "SWITCH_SCHEMA", "Addresses", "Bit", "Enum", "Flag", "FlagSet", "Mac", "Number",
    "Presence", "Reference", "Timer", "address", "be16", "device_name", "each", "elements",
    "integer", "loosely", "nearest", "s32", "shown", "switch", "timer32", "timer64", "u8", "u16",
    "u32",
]  # fmt: skip


@record
class Number:
    """An integer in `low`…`high`; `layout` is the struct format of the payload.

    `names` are keywords for some of the numbers; where there is one, it is the canonical value.
    """

    layout: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)
    unit: str = ""
    _spelled: Mapping[int, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        spelled: dict[int, str] = {}
        for name, number in self.names.items():
            spelled.setdefault(number, name)
        object.__setattr__(self, "_spelled", spelled)

    def parse(self, raw: object) -> Value:
        """A number in range, or one of the names."""
        if isinstance(raw, str) and raw.strip().lower() in self.names:
            number = self.names[raw.strip().lower()]
            return self._spelled[number]
        found = integer(raw)
        if found is None or not self.low <= found <= self.high:
            raise ValueError(f"must be {self.wanted()}, not {shown(raw)}")
        return self._spelled.get(found, found)

    def wanted(self) -> str:
        """What is allowed, in words."""
        unit = f" {self.unit}" if self.unit else ""
        names = "".join(f"{name} or " for name in self.names)
        return f"{names}a number of {self.low}-{self.high}{unit}"

    def encode(self, value: Value) -> bytes:
        """The number in its layout."""
        number = self.names[value] if isinstance(value, str) else value
        return struct.pack(self.layout, number)

    def decode(self, payload: bytes) -> Value:
        """The number, or its name."""
        (number,) = struct.unpack_from(self.layout, payload)
        return self._spelled.get(number, int(number)) if self._spelled else int(number)

    def schema(self) -> dict[str, Any]:
        """An integer, or a string that is one."""
        number = {"type": "integer", "minimum": self.low, "maximum": self.high}
        text = {"type": "string", "pattern": r"^\s*(-?[0-9]+|0[xX][0-9a-fA-F]+)\s*$"}
        names = [{"enum": list(self.names)}] if self.names else []
        return {"anyOf": [number, text, *names]}


def u8(low: int = 0, high: int = 0xFF, **names: int) -> Number:
    """An unsigned byte."""
    return Number("=B", low, high, names)


def u16(low: int = 0, high: int = 0xFFFF, **names: int) -> Number:
    """An unsigned 16-bit number."""
    return Number("=H", low, high, names)


def be16(low: int = 0, high: int = 0xFFFF) -> Number:
    """An unsigned 16-bit number in network order."""
    return Number(">H", low, high)


def u32(low: int = 0, high: int = 0xFFFF_FFFF, **names: int) -> Number:
    """An unsigned 32-bit number."""
    return Number("=I", low, high, names)


def s32(low: int = -(2**31), high: int = 2**31 - 1) -> Number:
    """A signed 32-bit number."""
    return Number("=i", low, high)


@record
class Timer(Number):
    """A time in hundredths of a second (USER_HZ), kept by the kernel in its own ticks.

    Going there and back loses up to one hundredth (HZ=250: odd numbers; HZ=300: nearly all),
    so two such times are the same if they differ by no more.
    """

    def same(self, wanted: Value, live: Value) -> bool:
        """Equal but for what the kernel's own clock ticks lose."""
        return isinstance(wanted, int) and isinstance(live, int) and abs(wanted - live) <= 1


def timer32(low: int = 0, high: int = 0xFFFF_FFFF) -> Timer:
    """A time in hundredths of a second, 32 bits."""
    return Timer("=I", low, high, unit="hundredths of a second")


def timer64(low: int = 0, high: int = 0xFFFF_FFFF) -> Timer:
    """A time in hundredths of a second, 64 bits on the wire."""
    return Timer("=Q", low, high, unit="hundredths of a second")


@record
class Enum:
    """One of a few keywords, each with the kernel's number. The number may be written as well."""

    layout: str
    names: Mapping[str, int]
    also: Mapping[str, str] = field(default_factory=dict)
    _spelled: Mapping[int, str] = field(init=False, repr=False, default_factory=dict)
    _loose: Mapping[str, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_spelled", {number: name for name, number in self.names.items()})
        loose = {loosely(name): name for name in self.names}
        loose |= {loosely(name): meant for name, meant in self.also.items()}
        object.__setattr__(self, "_loose", loose)

    def parse(self, raw: object) -> Value:
        """A keyword (`_` and `-` alike, any case) or its number."""
        number = integer(raw)
        if number is not None and number in self._spelled:
            return self._spelled[number]
        word = ("on" if raw else "off") if isinstance(raw, bool) else shown(raw)
        found = self._loose.get(loosely(word))
        if found is None:
            hint = nearest(word, self.names) if isinstance(raw, str) else ""
            raise ValueError(f"must be one of {', '.join(self.names)}, not {shown(raw)}{hint}")
        return found

    def encode(self, value: Value) -> bytes:
        """The keyword's number."""
        return struct.pack(self.layout, self.names[value])  # type: ignore[index]

    def decode(self, payload: bytes) -> Value:
        """The number's keyword; a number that a newer kernel brought stays one."""
        (number,) = struct.unpack_from(self.layout, payload)
        return self._spelled.get(number, int(number))

    def schema(self) -> dict[str, Any]:
        """The keywords and their numbers."""
        numbers = sorted(self.names.values())
        return {"enum": [*self.names, *self.also, *numbers, *map(str, numbers)]}


@record
class Flag:
    """A switch with an attribute of its own; `layout` is the payload's, "=B" mostly."""

    layout: str = "=B"

    def parse(self, raw: object) -> Value:
        """On, off, yes, no, true, false, 1, 0."""
        return switch(raw)

    def encode(self, value: Value) -> bytes:
        """1 or 0."""
        return struct.pack(self.layout, 1 if value else 0)

    def decode(self, payload: bytes) -> Value:
        """Anything but 0 is on; an NLA_FLAG has no payload and is on by being there."""
        return any(payload) if payload else True

    def schema(self) -> dict[str, Any]:
        """A boolean or one of its spellings."""
        return SWITCH_SCHEMA


@record
class Presence(Flag):
    """An NLA_FLAG: on by being there. Off cannot be sent: the attribute is left out."""

    def encode(self, value: Value) -> bytes:  # noqa: ARG002 (an NLA_FLAG has no payload)
        """Nothing."""
        return b""


@record
class Bit:
    """One bit of a word that is sent as (value, mask), both 32 bits; several merge into one.

    (ifi_flags and ifi_change, IFLA_VLAN_FLAGS, IFLA_BR_MULTI_BOOLOPT.) `inverted`: on clears it.
    `words` are the spellings of off and on where they are not a switch's (`down`, `up`).
    """

    mask: int
    inverted: bool = False
    words: tuple[str, str] | None = None

    def parse(self, raw: object) -> Value:
        """A switch, or one of the two words."""
        if self.words is None:
            return switch(raw)
        word = shown(raw).strip().lower()
        if word not in self.words:
            hint = nearest(word, self.words) if isinstance(raw, str) else ""
            raise ValueError(f"must be {' or '.join(reversed(self.words))}, not {shown(raw)}{hint}")
        return word

    def encode(self, value: Value) -> bytes:
        """Value and mask of this bit alone."""
        on = value == self.words[1] if self.words else bool(value)
        return struct.pack("=II", self.mask if on is not self.inverted else 0, self.mask)

    def decode(self, payload: bytes) -> Value:
        """The bit, out of the first word."""
        return self.read(struct.unpack_from("=I", payload)[0])

    def read(self, word: int) -> Value:
        """The bit, out of the word as a number."""
        on = (word & self.mask != 0) is not self.inverted
        return self.words[on] if self.words else on

    def schema(self) -> dict[str, Any]:
        """The two words, or a switch."""
        return {"enum": list(self.words)} if self.words else SWITCH_SCHEMA


@record
class FlagSet:
    """A set of named bits in one word without a mask: a sorted tuple of names, () for none."""

    layout: str
    names: Mapping[str, int]

    def parse(self, raw: object) -> Value:
        """A name, a list of them, or `null`."""
        found = {shown(one).strip().lower() for one in elements(raw)} - {"null", "none"}
        for one in sorted(found - set(self.names)):
            hint = nearest(one, self.names)
            raise ValueError(f"must be some of {', '.join(self.names)}, not {one}{hint}")
        return tuple(sorted(found))

    def encode(self, value: Value) -> bytes:
        """The bits of all names."""
        return struct.pack(self.layout, sum(self.names[str(one)] for one in each(value)))

    def decode(self, payload: bytes) -> Value:
        """The names of the bits that are set."""
        (word,) = struct.unpack_from(self.layout, payload)
        return tuple(sorted(name for name, bit in self.names.items() if word & bit))

    def schema(self) -> dict[str, Any]:
        """A name, a list of names or null."""
        names = {"enum": [*self.names, "null", None]}
        return {"anyOf": [names, {"type": "array", "items": names}]}
