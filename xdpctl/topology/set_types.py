"""What the entries of a set look like: which keys take the set, and how an entry is read.

An entry is one value or, in a composite set, one value for each of its keys. Values are written as
in a match, without `!`: addresses and prefixes, ranges, names. A range becomes prefixes.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from xdpctl.topology.key_forms import Address, Form, Mac, Number
from xdpctl.topology.key_names import SERVICES
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Interval, SetType

Prefix = tuple[int, int]
"""A number, and how many of its leading bits count; the others are zero."""

FORMS: Final[dict[SetType, Form]] = {
    "ip4": Address(4),
    "ip6": Address(6),
    "ether": Mac(),
    "port": Number(16, SERVICES),
}
MEMBERS: Final[dict[SetType, tuple[str, ...]]] = {
    "ip4": ("ip4.saddr", "ip4.daddr", "arp.spa", "arp.tpa"),
    "ip6": ("ip6.saddr", "ip6.daddr"),
    "ether": ("ether.saddr", "ether.daddr"),
    "port": tuple(key for key in KEYS if key.endswith(("sport", "dport"))),
}
"""The keys that may be in a set of the type."""
COMPOSABLE: Final = tuple(
    key.name
    for key in KEYS.values()
    if isinstance(key.form, Address | Mac | Number)
    and key.name not in ("ip6.nexthdr", "meta.length")
    and not key.name.startswith("vlan.")
)
"""The keys that a composite set may have: those of which a frame has one number, or is none."""
MOST_KEYS: Final = 4
MOST_WIDTH: Final = 320
"""Bits of a composite entry: what two IPv6 addresses and two ports take."""
MOST_PRODUCT: Final = 65536
"""Entries that one entry with several ranges may stand for."""


def padded(bits: int) -> int:
    """The width of a value within an entry: whole bytes that a program loads at once."""
    return next(width for width in (8, 16, 32, 64, 128) if bits <= width)


@dataclass
class Entries:
    """Gathers entries of one set as numbers.

    forms  how each value is read; of one for a plain set
    """

    forms: Sequence[Form]
    exact: set[int] = field(default_factory=set)
    prefixes: dict[int, set[int]] = field(default_factory=dict)
    parts: list[list[list[Prefix]]] = field(default_factory=list)

    def add(self, values: Sequence[str]) -> None:
        """Add an entry; ValueError with a sentence that goes on after the set's name."""
        if len(values) != len(self.forms):
            count = f"{len(values)} value{'s' * (len(values) != 1)}"
            raise ValueError(f"has an entry of {count}, not {len(self.forms)}")
        found = [_spans(form, text) for form, text in zip(self.forms, values, strict=True)]
        if len(found) > 1:
            self.parts.append(found)
            return
        bits = self.forms[0].bits
        for number, length in found[0]:
            self.put(number, length, bits)

    def put(self, number: int, length: int, width: int) -> None:
        """Add a prefix of a plain set, or of a composite one whose values are joined."""
        if length == width:
            self.exact.add(number)
        else:
            self.prefixes.setdefault(length, set()).add(number)


def _spans(form: Form, text: str) -> list[Prefix]:
    spans = form.parse(text)
    if spans is None:
        raise ValueError(f"has an entry that must be {form.wanted()}, not {text or 'nothing'}")
    found: list[Prefix] = []
    for span in spans:
        if not isinstance(span, Interval):
            raise ValueError(f"takes masks of leading bits only, not {text}")  # noqa: TRY004
        found += prefixes(span, form.bits)
    return found


def prefixes(span: Interval, bits: int) -> Iterator[Prefix]:
    """The fewest prefixes that make up an interval."""
    low = span.low
    while low <= span.high:
        size = min(low & -low or 1 << bits, 1 << (span.high - low + 1).bit_length() - 1)
        yield low, bits - (size.bit_length() - 1)
        low += size


def quick(kind: SetType) -> Callable[[str], int] | None:
    """Reads what nearly all lines of a large file are, one value; ValueError if it is none."""
    family = {"ip4": socket.AF_INET, "ip6": socket.AF_INET6}.get(kind)
    if family is not None:
        return lambda text: int.from_bytes(socket.inet_pton(family, text), "big")
    if kind == "port":
        return _port
    return None


def _port(text: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,4}", text) is None or int(text) > 65535:
        raise ValueError
    return int(text)
