"""Regions made small: each field's values fall into the classes that some regions can tell apart.

A set of values is then a number with a bit for each class, and whether regions meet or cover each
other is a matter of a few operations on numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from xdpctl.policy.regions import Region, Values, top

Cell = tuple[int, ...]
"""The classes of every field, by the field's number."""
Part = tuple[tuple[int, int], ...]
"""(field's number, classes) of those fields that a region says something of."""


_COST = 10
"""Parts that are looked at in the time in which a piece is cut."""


_LONG = 4
"""Intervals a set of values, on average, from which on it is worth while to join classes."""


class GaveUpError(Exception):
    """It would take too long to find out."""


@dataclass(slots=True)
class Budget:
    """What may still be done: parts looked at (a piece costs as much as several), pieces cut."""

    looks: int
    pieces: int

    def spend(self, looks: int, pieces: int = 0) -> None:
        """Raises GaveUpError where there is no more to spend."""
        self.looks -= looks + _COST * pieces
        self.pieces -= pieces
        if self.looks < 0 or self.pieces < 0:
            raise GaveUpError


class Space:
    """The fields of some regions, and the classes that these regions tell apart."""

    def __init__(self, regions: Iterable[Region], more: Mapping[str, Iterable[Values]]) -> None:
        """`more`: values that parts and cells may have besides, by their fields."""
        found = {field: set(several) for field, several in more.items()}
        for region in regions:
            for field, values in region.items():
                found.setdefault(field, set()).add(values)
        self._rows: dict[str, tuple[int, dict[Values, int]]] = {}
        everything: list[int] = []
        for number, (field, several) in enumerate(found.items()):
            classes, masks = _classes(several, top(field))
            everything.append(classes)
            self._rows[field] = number, masks
        self._everything = tuple(everything)

    def part(self, region: Region) -> Part:
        """One of the regions that the space is made from."""
        found = []
        for field, values in region.items():
            number, masks = self._rows[field]
            found.append((number, masks[values]))
        return tuple(found)

    def cell(self, region: Region) -> Cell:
        """The same in full."""
        cell = list(self._everything)
        for field, values in region.items():
            number, masks = self._rows[field]
            cell[number] = masks[values]
        return tuple(cell)


def within(cell: Cell, part: Part) -> Cell | None:
    """What both have; None if that is nothing."""
    for number, mask in part:
        if not cell[number] & mask:
            return None
    both = list(cell)
    for number, mask in part:
        both[number] &= mask
    return tuple(both)


def _classes(several: Collection[Values], largest: int) -> tuple[int, dict[Values, int]]:
    """All classes of a field, and each set of values as some of them."""
    starts = {0}
    for values in several:
        for low, high in values:
            starts.add(low)
            starts.add(high + 1)
    starts.discard(largest + 1)
    if len(starts) > _LONG * len(several):
        return _classes_of_lists(several, largest)
    places = {start: 1 << place for place, start in enumerate(sorted(starts))}
    beyond = places[largest + 1] = 1 << len(starts)
    masks = {}
    for values in several:
        mask = 0
        for low, high in values:
            mask += places[high + 1] - places[low]
        masks[values] = mask
    return beyond - 1, masks


def _classes_of_lists(several: Collection[Values], largest: int) -> tuple[int, dict[Values, int]]:
    """The same for long lists: what is in the same of them is one class, wherever it is."""
    changes = {0: 0}
    for number, values in enumerate(several):
        for low, high in values:
            changes[low] = changes.get(low, 0) ^ 1 << number
            changes[high + 1] = changes.get(high + 1, 0) ^ 1 << number
    changes.pop(largest + 1, None)
    places: dict[int, int] = {}
    inside = 0
    for start in sorted(changes):
        inside ^= changes[start]
        places.setdefault(inside, 1 << len(places))
    masks = [0] * len(several)
    for inside, place in places.items():
        rest = inside
        while rest:
            masks[rest.bit_length() - 1] |= place
            rest &= (1 << rest.bit_length() - 1) - 1
    return (1 << len(places)) - 1, dict(zip(several, masks, strict=True))


def cut(cell: Cell, part: Part) -> tuple[Cell, list[Cell]] | None:
    """The cell within a part, and the pieces of it outside; None if they have nothing in common."""
    for number, mask in part:
        if not cell[number] & mask:
            return None
    within, outside = list(cell), []
    for number, mask in part:
        if left := within[number] & ~mask:
            piece = within.copy()
            piece[number] = left
            outside.append(tuple(piece))
            within[number] &= mask
    return tuple(within), outside


def takers(cells: Iterable[Cell], parts: Sequence[Part], budget: Budget) -> set[int] | None:
    """Parts that take all of the cells together; None if some of them is left.

    Raises GaveUpError.
    """
    found: set[int] = set()
    for whole in cells:
        budget.spend(len(parts))
        places = _nearest(whole, parts)
        near = [parts[place] for place in places]
        waiting = [(whole, 0)]
        while waiting:
            cell, start = waiting.pop()
            place = first(cell, near, start)
            budget.spend(place + 1 - start, 1)
            split = cut(cell, near[place]) if place < len(near) else None
            if split is None:
                return None
            found.add(places[place])
            waiting += [(piece, place + 1) for piece in split[1]]
    return found


def _nearest(cell: Cell, parts: Sequence[Part]) -> list[int]:
    """The parts that take some of a cell, those that leave least first; one if it takes all."""
    rows = []
    for place, part in enumerate(parts):
        leaves = 0
        for number, mask in part:
            if not (both := cell[number] & mask):
                break
            leaves += both != cell[number]
        else:
            if not leaves:
                return [place]
            rows.append((leaves, place))
    return [place for _, place in sorted(rows)]


def first(cell: Cell, parts: Sequence[Part], start: int) -> int:
    """The first part, from `start` on, that has something in common with the cell; else the end."""
    for place in range(start, len(parts)):
        for number, mask in parts[place]:
            if not cell[number] & mask:
                break
        else:
            return place
    return len(parts)
