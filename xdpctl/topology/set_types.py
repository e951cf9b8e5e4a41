"""What the entries of a set look like: which keys take the set, and how an entry is read.

An entry is one value or, in a composite set, one value for each of its keys. Values are written as
in a match, without `!`: addresses and prefixes, ranges, names. A range becomes prefixes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from xdpctl.record import record
from xdpctl.topology import leaf
from xdpctl.topology.form import Form
from xdpctl.topology.key_addresses import Address, Mac
from xdpctl.topology.key_forms import Number
from xdpctl.topology.key_names import SERVICES
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Interval, Location, SetType
from xdpctl.topology.raw import nearest

Prefix = tuple[int, int]
"""A number, and how many of its leading bits count; the others are zero."""
_LONGEST: Final = 100
"""Characters of a value; what is longer is none."""


@record
class Column:
    """One value of many entries, each a prefix; `lengths` is None where all bits of all count."""

    numbers: Sequence[int]
    lengths: Sequence[int] | None = None


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
MOST_WRITTEN: Final = 1 << 22
"""Entries that all ranges of a topology may stand for, as a short text could fill the memory."""


def padded(bits: int) -> int:
    """The width of a value within an entry: whole bytes that a program loads at once."""
    return next(width for width in (8, 16, 32, 64, 128) if bits <= width)


@dataclass
class Budget:
    """How many entries the ranges of all sets may still stand for."""

    left: int = MOST_WRITTEN

    def spend(self, count: int) -> None:
        """Take some; ValueError where there are not enough, and from then on."""
        self.left -= count
        if self.left < 0:
            raise ValueError(f"the ranges of all sets stand for more than {MOST_WRITTEN} entries")


@dataclass
class Plain:
    """Gathers entries of one value: single numbers, and prefixes by their length.

    names  what each value of an entry is called in a sentence
    """

    form: Form
    budget: Budget
    names: Sequence[str] = ("an entry",)
    exact: set[int] = field(default_factory=set)
    prefixes: dict[int, set[int]] = field(default_factory=dict)

    @property
    def forms(self) -> Sequence[Form]:
        """The one form."""
        return (self.form,)

    def add(self, parts: Sequence[Sequence[Prefix]], where: Location) -> None:  # noqa: ARG002
        """Add an entry."""
        (prefixes,) = parts
        self.budget.spend(len(prefixes) - 1)
        for number, length in prefixes:
            if length == self.form.bits:
                self.exact.add(number)
            else:
                self.prefixes.setdefault(length, set()).add(number)

    def add_many(self, columns: Sequence[Column]) -> None:
        """Add entries of one prefix."""
        (column,) = columns
        if column.lengths is None:
            self.exact.update(column.numbers)
            return
        for number, length in zip(column.numbers, column.lengths, strict=True):
            if length == self.form.bits:
                self.exact.add(number)
            else:
                self.prefixes.setdefault(length, set()).add(number)


def read(names: Sequence[str], forms: Sequence[Form], texts: Sequence[str]) -> list[list[Prefix]]:
    """The values of one entry; Inside with the index of the wrong one, and a sentence."""
    if len(texts) != len(forms):
        wanted = f"{len(forms)} values ({', '.join(names)})" if len(forms) > 1 else "one value"
        raise ValueError(f"an entry must have {wanted}, not {len(texts)}")
    found = []
    for index, (name, form, text) in enumerate(zip(names, forms, texts, strict=True)):
        try:
            found.append(_value(form, text))
        except ValueError as error:
            raise leaf.Inside(f"{name} {error}", index) from None
    return found


def _value(form: Form, text: str) -> list[Prefix]:
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    spans = form.parse(text)
    if spans is None:
        hint = nearest(text, form.names) if text[:1].isalpha() else ""
        raise ValueError(f"must be {form.wanted()}, not {text or 'nothing'}{hint}")
    found: list[Prefix] = []
    for span in spans:
        if not isinstance(span, Interval):
            raise ValueError(f"must have a mask of leading bits, not {text}")  # noqa: TRY004
        found += prefixes(span, form.bits)
    return found


def prefixes(span: Interval, bits: int) -> Iterator[Prefix]:
    """The fewest prefixes that make up an interval."""
    low = span.low
    while low <= span.high:
        size = min(low & -low or 1 << bits, 1 << (span.high - low + 1).bit_length() - 1)
        yield low, bits - (size.bit_length() - 1)
        low += size
