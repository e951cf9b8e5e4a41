"""Codecs: a property between YAML, its canonical value and the kernel's bytes.

Canonical values are what a plan compares: numbers are int, flags are bool, keywords are the
iproute2 spelling, addresses are lower case, lists without an order are sorted. Byte order is
the host's, unless the codec says big-endian.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xdpctl.topology.model import Value

WORDS = {"on": True, "yes": True, "true": True, "1": True}
WORDS |= {"off": False, "no": False, "false": False, "0": False}


def nearest(word: str, names: Iterable[str]) -> str:
    """` (did you mean x?)` with the nearest of `names`, or nothing if none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 (only on the way to an error)

    found = get_close_matches(word.lower(), list(names), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def integer(raw: object) -> int | None:
    """The number that YAML's number or string means (decimal, 0x…), or None if it is none."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return int(raw)
    if isinstance(raw, str):
        try:
            return int(raw.strip(), 16 if raw.strip().lower().startswith("0x") else 10)
        except ValueError:
            return None
    return None


def shown(raw: object) -> str:
    """A YAML value as a message shows it."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if raw is None:
        return "nothing"
    return str(raw) if isinstance(raw, int | float | str) else f"a {kind_of(raw)}"


def kind_of(raw: object) -> str:
    """What YAML calls the type of a value that is not a scalar."""
    return "mapping" if isinstance(raw, Mapping) else "list"


def elements(raw: object) -> list[object]:
    """The elements of a list; of a scalar (a string is split at blanks and commas); of nothing."""
    if raw is None:
        return []
    if isinstance(raw, str):
        return [*re.split(r"[\s,]+", raw.strip())] if raw.strip() else []
    if isinstance(raw, list | tuple):
        return list(raw)
    return [raw]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


def loosely(word: str) -> str:
    """A keyword without what people write differently."""
    return word.strip().lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Presence(Flag):
    """An NLA_FLAG: on by being there. Off cannot be sent: the attribute is left out."""

    def encode(self, value: Value) -> bytes:  # noqa: ARG002 (an NLA_FLAG has no payload)
        """Nothing."""
        return b""


@dataclass(frozen=True, slots=True)
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


SWITCH_SCHEMA: dict[str, Any] = {"enum": [True, False, 1, 0, *WORDS]}


def switch(raw: object) -> bool:
    """What a switch's spelling means."""
    found = raw if isinstance(raw, bool) else WORDS.get(shown(raw).strip().lower())
    if found is None:
        raise ValueError(f"must be on or off, not {shown(raw)}")
    return found


@dataclass(frozen=True, slots=True)
class Mac:
    """A MAC address, `02:00:00:00:00:10`. `unicast`: not multicast and not zero."""

    unicast: bool = True

    def parse(self, raw: object) -> Value:
        """Six hexadecimal bytes with colons or dashes between them."""
        text = shown(raw).strip().lower().replace("-", ":")
        if not isinstance(raw, str) or not re.fullmatch(r"([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}", text):
            raise ValueError(f"must be a MAC address like 02:00:00:00:00:10, not {shown(raw)}")
        octets = bytes(int(part, 16) for part in text.split(":"))
        if self.unicast and octets[0] & 1:
            raise ValueError(f"must be a unicast address, but {text} is a multicast one")
        if self.unicast and not any(octets):
            raise ValueError("must not be all zeroes")
        return octets.hex(":")

    def encode(self, value: Value) -> bytes:
        """Six bytes."""
        return bytes.fromhex(str(value).replace(":", ""))

    def decode(self, payload: bytes) -> Value:
        """The bytes, whatever their number (tunnels have 4 or 16)."""
        return payload.hex(":")

    def schema(self) -> dict[str, Any]:
        """A pattern."""
        return {"type": "string", "pattern": "^([0-9a-fA-F]{1,2}[:-]){5}[0-9a-fA-F]{1,2}$"}


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address(raw: object, version: int | None = None) -> Address:
    """An IP address, of that version if one is named."""
    what = f"an IPv{version} address" if version else "an IP address"
    try:
        found = ipaddress.ip_address(raw.strip() if isinstance(raw, str) else "")
    except ValueError:
        raise ValueError(f"must be {what}, not {shown(raw)}") from None
    if version and found.version != version:
        raise ValueError(f"must be {what}, not {shown(raw)}")
    return found


@dataclass(frozen=True, slots=True)
class Addresses:
    """Up to `limit` IP addresses in a nest, numbered from 0. Their order means nothing: sorted."""

    version: int
    limit: int

    def parse(self, raw: object) -> Value:
        """A list, or a string with commas."""
        found = sorted({address(one, self.version) for one in elements(raw)}, key=int)
        if len(found) > self.limit:
            raise ValueError(f"takes at most {self.limit} addresses, not {len(found)}")
        return tuple(str(one) for one in found)

    def encode(self, value: Value) -> bytes:
        """A nest of addresses."""
        packed = [ipaddress.ip_address(str(one)).packed for one in each(value)]
        return b"".join(
            struct.pack("=HH", 4 + len(one), number) + one for number, one in enumerate(packed)
        )

    def decode(self, payload: bytes) -> Value:
        """The addresses of a nest."""
        size = 4 + (4 if self.version == 4 else 16)
        found = [payload[at + 4 : at + size] for at in range(0, len(payload), size)]
        return tuple(str(ipaddress.ip_address(one)) for one in sorted(found))

    def schema(self) -> dict[str, Any]:
        """A list of strings, or one string."""
        text = {"type": "string"}
        return {"anyOf": [text, {"type": "array", "items": text, "maxItems": self.limit}]}


def each(value: Value) -> tuple[Value, ...]:
    """The elements of a canonical list."""
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Reference:
    """Another device: its name in the file and in a plan, its ifindex on the wire.

    Names and indexes are of one network namespace at one time, so whoever encodes or decodes
    brings the table; here a name is text and an index a number.
    """

    def parse(self, raw: object) -> Value:
        """A device's name."""
        return device_name(raw)

    def encode(self, value: Value) -> bytes:
        """The ifindex, which the caller has put in the name's place."""
        return struct.pack("=I", value)

    def decode(self, payload: bytes) -> Value:
        """The ifindex, which the caller puts a name for."""
        return int(struct.unpack_from("=I", payload)[0])

    def schema(self) -> dict[str, Any]:
        """A device's name."""
        return NAME_SCHEMA


NAME_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 15}


def device_name(raw: object) -> str:
    """A name that the kernel takes (dev_valid_name): 1-15 bytes, no blank, slash or colon."""
    name = str(raw) if isinstance(raw, str) else ""
    if not 0 < len(name.encode()) <= 15:
        raise ValueError(f"must be a device's name of at most 15 bytes, not {shown(raw)}")
    if name in {".", ".."} or re.search(r"[\s/:]", name):
        raise ValueError(f"must be a device's name without blanks, / and :, not {name}")
    return name
