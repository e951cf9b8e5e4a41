"""Ranges of names: `tenant[1-1000]` is one name for each number, zero-padded if written so."""

from __future__ import annotations

import re

from xdpctl.record import record

LIMIT = 65536

_RANGE = re.compile(r"([^\[\]]*)\[([0-9]{1,10})-([0-9]{1,10})\]([^\[\]]*)")


@record
class Range:
    """The names from `low` to `high`; each number has at least `width` digits."""

    before: str
    low: int
    high: int
    after: str
    width: int

    def __len__(self) -> int:
        return self.high - self.low + 1

    def name(self, number: int) -> str:
        """The name with that number."""
        return f"{self.before}{number:0{self.width}d}{self.after}"

    def numbers(self) -> range:
        """Its numbers."""
        return range(self.low, self.high + 1)

    def names(self) -> list[str]:
        """All its names."""
        return [self.name(number) for number in self.numbers()]


def parse(text: str) -> Range | None:
    """The range that a name is, or None if it is a plain one; ValueError if it is a broken one."""
    if "[" not in text and "]" not in text:
        return None
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a range: write one, like web[1-10]")
    before, first, last, after = match.groups()
    low, high = int(first), int(last)
    padded = any(len(end) > 1 and end[0] == "0" for end in (first, last))
    if padded and len(first) != len(last):
        raise ValueError(f"{text!r}: give both ends the same number of digits")
    if low > high:
        raise ValueError(f"{text!r} runs from {low} down to {high}")
    if high - low >= LIMIT:
        raise ValueError(f"{text!r} is {high - low + 1} devices; the limit is {LIMIT}")
    return Range(before, low, high, after, len(first) if padded else 1)


def names(text: str) -> list[str]:
    """The names that a plain name or a range stands for."""
    found = parse(text)
    return [text] if found is None else found.names()
