"""Sets of numbers as sorted disjoint intervals, and partitions of a domain made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Pairs = list[tuple[int, int]]


class Segment(NamedTuple):
    """The numbers from `low` to `high`, both in, go to `target`."""

    low: int
    high: int
    target: str


def complement(pairs: Pairs, maximum: int) -> Pairs:
    """What of 0 … maximum is in none of the sorted, disjoint `pairs`."""
    gaps, start = [], 0
    for low, high in pairs:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= maximum:
        gaps.append((start, maximum))
    return gaps


def partition(pairs: Pairs, maximum: int, inside: str, outside: str) -> list[Segment]:
    """0 … maximum as segments that go `inside` where a pair covers them, else `outside`."""
    segments: list[Segment] = []
    start = 0
    for low, high in pairs:
        if low > start:
            segments.append(Segment(start, low - 1, outside))
        joins = low == start and bool(segments)  # it goes on where the last one ends
        segments.append(Segment(segments.pop().low if joins else low, high, inside))
        start = high + 1
    if start <= maximum:
        segments.append(Segment(start, maximum, outside))
    return segments


def merged(segments: Sequence[Segment]) -> list[Segment]:
    """The same with neighbours of one target made one."""
    result: list[Segment] = []
    for segment in segments:
        if result and result[-1].target == segment.target:
            result[-1] = Segment(result[-1].low, segment.high, segment.target)
        else:
            result.append(segment)
    return result
