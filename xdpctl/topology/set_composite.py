"""Composite entries to numbers: values joined, the one that may be a prefix last.

The kernel finds prefixes in a trie, which looks at leading bits; so within an entry one value at
most can be a prefix or a range, and it stands last. Small ranges of other values are written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from xdpctl.topology.set_types import (
    MOST_PRODUCT,
    MOST_WIDTH,
    Entries,
    Prefix,
    padded,
)


def joined(keys: Sequence[str], entries: Entries) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Fill `entries.exact` and `.prefixes`; the keys in the order in which values are joined, and
    the width of each. ValueError where an entry cannot be.
    """
    widths = [form.bits for form in entries.forms]
    last = _prefixed(widths, entries.parts)
    order = [index for index in range(len(keys)) if index != last]
    order = [*sorted(order, key=lambda index: -padded(widths[index])), last]
    bits = tuple(padded(widths[index]) for index in order)
    if sum(bits) > MOST_WIDTH:
        raise ValueError(f"has entries of {sum(bits)} bits, more than {MOST_WIDTH}")
    total = sum(bits)
    for parts in entries.parts:
        exact = [_written_out(parts[index], widths[index]) for index in order[:-1]]
        if prod(map(len, exact)) * len(parts[last]) > MOST_PRODUCT:
            raise ValueError(f"has an entry that stands for more than {MOST_PRODUCT}")
        for heads in product(*exact):
            head = 0
            for number, width in zip(heads, bits, strict=False):
                head = head << width | number
            for number, length in parts[last]:
                cut = widths[last] - length
                entries.put(head << bits[-1] | number, total - cut, total)
    return tuple(keys[index] for index in order), bits


def _prefixed(widths: Sequence[int], entries: Sequence[Sequence[Sequence[Prefix]]]) -> int:
    """Which value stands last: the one whose ranges are the largest, else the narrowest."""
    largest = [0] * len(widths)
    for parts in entries:
        for index, part in enumerate(parts):
            largest[index] = max(largest[index], *(widths[index] - length for _, length in part))
    if not any(largest):
        return min(range(len(widths)), key=lambda index: padded(widths[index]))
    return max(range(len(widths)), key=lambda index: largest[index])


def _written_out(part: Sequence[Prefix], width: int) -> list[int]:
    """Every number of some prefixes."""
    found: list[int] = []
    for number, length in part:
        count = 1 << width - length
        if count + len(found) > MOST_PRODUCT:
            raise ValueError(
                "has an entry with two prefixes or ranges: one value may be a prefix or a range, "
                f"of the others at most {MOST_PRODUCT} numbers"
            )
        found += range(number, number + count)
    return found
