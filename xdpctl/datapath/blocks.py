"""Counter blocks: which part of the counters map belongs to which device."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import FIRST_RULE
from xdpctl.datapath.policy_layout import PolicyLayout


class Blocks:
    """First-fit allocation over a map of `capacity` counters. Blocks in use are never moved."""

    def __init__(self, capacity: int, used: Iterable[tuple[int, int]] = ()) -> None:
        self.capacity = capacity
        self.fresh: list[tuple[int, int]] = []
        self._used = sorted(used)
        self._search = 0

    def take(self, size: int) -> int | None:
        """The start of a free block of `size` counters; None where there is none.

        The search goes on where the last one ended: blocks are given back between runs only.
        """
        start, index = 0, self._search
        if index:
            start = sum(self._used[index - 1])
        while index < len(self._used) and self._used[index][0] - start < size:
            start = max(start, sum(self._used[index]))
            index += 1
        if start + size > self.capacity:
            return None
        insort(self._used, (start, size), lo=index)
        self._search = index + 1
        self.fresh.append((start, size))
        return start


def root_room(policy: PolicyLayout | None) -> int:
    """The size of the root's own block: its policy's, or the head alone."""
    return policy.room if policy is not None else FIRST_RULE


def capacity_for(rooms: Iterable[int]) -> int:
    """A map size for these blocks with room to double."""
    return 1 << (2 * sum(rooms)).bit_length()


def used(described: Description, blocks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is taken: the root's block and every (policy index, block) given."""
    layouts = described.by_index()
    root = described.policies.get(described.root_policy or "")
    taken = {(described.root_block, root_room(root))}
    taken |= {(block, layouts[index].room) for index, block in blocks if index in layouts}
    return sorted(taken)
