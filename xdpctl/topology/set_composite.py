"""Composite entries to numbers: values joined, the one that may be a prefix last.

The kernel finds prefixes in a trie, which looks at leading bits; so within an entry one value at
most can be a prefix or a range, and it stands last. Ranges of other values are written out, which
is bearable where they are small. Which value is last is known when all entries are: until then
an entry is a number of its values in the order of the file, filed by their prefix lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import product
from math import prod

from xdpctl.topology.form import Form
from xdpctl.topology.model import Location
from xdpctl.topology.set_types import MOST_PRODUCT, Budget, Column, Plain, Prefix, padded

Lengths = tuple[int, ...]


class TwoLarge(ValueError):  # noqa: N818 (reads as what it is)
    """Two entries of a set want different values to stand last; `where` is the later one."""

    def __init__(self, where: Location, value: str, first: Location, other: str) -> None:
        super().__init__(
            f"{value} is a large prefix or range here, and {other} is one at {first}: "
            "in all entries of a set it must be the same value"
        )
        self.where = where


@dataclass
class Composite:
    """Gathers entries of several values.

    groups   the entries by the prefix lengths of their values
    blocked  which values cannot stand last: the first entry that would be too many, and its value
             that is a large range
    """

    names: Sequence[str]
    forms: Sequence[Form]
    budget: Budget
    exact: set[int] = field(default_factory=set)
    prefixes: dict[int, set[int]] = field(default_factory=dict)
    groups: dict[Lengths, set[int]] = field(default_factory=dict)
    blocked: dict[int, tuple[Location, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._widths = [form.bits for form in self.forms]
        self._slots = [padded(bits) for bits in self._widths]

    def add(self, parts: Sequence[Sequence[Prefix]], where: Location) -> None:
        """Add an entry; ValueError if it stands for too many."""
        sizes = [
            sum(1 << width - length for _, length in part)
            for part, width in zip(parts, self._widths, strict=True)
        ]
        self._admit(sizes, [len(part) for part in parts], where)
        self.budget.spend(prod(map(len, parts)) - 1)
        for values in product(*parts):
            number = 0
            for (value, _), slot in zip(values, self._slots, strict=True):
                number = number << slot | value
            self.groups.setdefault(tuple(length for _, length in values), set()).add(number)

    def add_many(self, columns: Sequence[Column]) -> None:
        """Add entries of one prefix a value; ValueError where one must be looked at by itself."""
        numbers: Sequence[int] = columns[0].numbers
        for column, slot in zip(columns[1:], self._slots[1:], strict=True):
            numbers = [
                number << slot | value
                for number, value in zip(numbers, column.numbers, strict=True)
            ]
        if all(column.lengths is None for column in columns):
            self.groups.setdefault(tuple(self._widths), set()).update(numbers)
            return
        lengths = [
            column.lengths or [width] * len(numbers)
            for column, width in zip(columns, self._widths, strict=True)
        ]
        for number, each in zip(numbers, zip(*lengths, strict=True), strict=True):
            group = self.groups.get(each)
            if group is None:
                if self._size(each) > MOST_PRODUCT:
                    raise ValueError
                group = self.groups[each] = set()
            group.add(number)

    def _size(self, lengths: Lengths, last: int | None = None) -> int:
        """How many entries one of such lengths stands for, but for the prefix of the `last`."""
        return prod(
            1 << width - length
            for index, (width, length) in enumerate(zip(self._widths, lengths, strict=True))
            if index != last
        )

    def _admit(self, sizes: Sequence[int], counts: Sequence[int], where: Location) -> None:
        """Which value cannot stand last because of this entry, as the others are too many."""
        total = prod(sizes)
        costs = [total // size * count for size, count in zip(sizes, counts, strict=True)]
        if min(costs) > MOST_PRODUCT:
            raise ValueError(
                "an entry may have one large prefix or range: its other values, written out, "
                f"stand for {min(costs)} entries, more than {MOST_PRODUCT}"
            )
        for last, cost in enumerate(costs):
            if cost > MOST_PRODUCT and last not in self.blocked:
                others = [index for index in range(len(sizes)) if index != last]
                self.blocked[last] = where, max(others, key=lambda index: sizes[index])

    def join(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Fill `exact` and `prefixes`; the keys in the order in which values are joined, and the
        width of each. ValueError where no order will do.
        """
        last = self._last()
        order = [index for index in range(len(self.names)) if index != last]
        order = [*sorted(order, key=lambda index: -self._slots[index]), last]
        self.budget.spend(self._cost(last) - sum(map(len, self.groups.values())))
        total = sum(self._slots)
        for lengths, numbers in self.groups.items():
            cut = self._widths[last] - lengths[last]
            into = self.prefixes.setdefault(total - cut, set()) if cut else self.exact
            offsets = [*self._offsets(lengths, order)]
            moved = numbers if order == sorted(order) else self._moved(numbers, order)
            if offsets != [0]:
                into.update(number + offset for number in moved for offset in offsets)
            elif into or not isinstance(moved, set):
                into.update(moved)
            elif cut:
                self.prefixes[total - cut] = moved
            else:
                self.exact = moved
        return tuple(self.names[index] for index in order), tuple(
            self._slots[index] for index in order
        )

    def _last(self) -> int:
        """The value that stands last: the one that leaves the fewest to be written out."""
        free = [index for index in range(len(self.names)) if index not in self.blocked]
        if free:
            return min(free, key=lambda index: (self._cost(index), self._slots[index]))
        where, large = [*self.blocked.values()][-1]
        first, other = self.blocked[large]
        raise TwoLarge(where, self.names[large], first, self.names[other])

    def _cost(self, last: int) -> int:
        """Entries with that value last."""
        return sum(
            len(numbers) * self._size(lengths, last) for lengths, numbers in self.groups.items()
        )

    def _offsets(self, lengths: Lengths, order: Sequence[int]) -> Iterator[int]:
        """What to add to an entry to have all that it stands for: the last value's prefix stays."""
        ranges = [range(1 << self._widths[index] - lengths[index]) for index in order[:-1]]
        shifts = self._shifts(order)
        for values in product(*ranges):
            yield sum(value << shift for value, shift in zip(values, shifts, strict=False))

    def _shifts(self, order: Sequence[int]) -> list[int]:
        """How far left each value stands, of an entry in this order."""
        slots = [self._slots[index] for index in order]
        return [sum(slots[number + 1 :]) for number in range(len(slots))]

    def _moved(self, numbers: Set[int], order: Sequence[int]) -> Iterator[int]:
        """Entries in the order of the file, brought to this order."""
        given = self._shifts(range(len(order)))
        moves = [
            (given[index], (1 << self._slots[index]) - 1, shift)
            for index, shift in zip(order, self._shifts(order), strict=True)
        ]
        for number in numbers:
            result = 0
            for old, mask, new in moves:
                result |= (number >> old & mask) << new
            yield result


Entries = Plain | Composite
