"""Counter blocks: which part of the counters map belongs to which device.

A chunk of the map holds the blocks of LANES devices with equally many counters, one device's
counters between the others'.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable

from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import HEAD, LANES
from xdpctl.datapath.policy_layout import PolicyLayout


class Blocks:
    """First-fit allocation over a map of `capacity` counters. Blocks in use are never moved.

    `used` are blocks (start, counters); `fresh` those that were given out here.
    """

    def __init__(self, capacity: int, used: Iterable[tuple[int, int]] = ()) -> None:
        self.capacity = capacity
        self.fresh: list[tuple[int, int]] = []
        rooms: dict[int, int] = {}
        taken = set[int]()
        for start, room in used:
            rooms[start - start % LANES] = room
            taken.add(start)
        self._chunks = sorted((chunk, room * LANES) for chunk, room in rooms.items())
        self._free: dict[int, list[int]] = {}
        for chunk, room in rooms.items():
            self._free.setdefault(room, []).extend(_lanes(chunk, taken))
        self._search = 0

    def take(self, size: int) -> int | None:
        """The start of a free block of `size` counters; None where there is none."""
        free = self._free.setdefault(size, [])
        if not free:
            chunk = self._chunk(size * LANES)
            if chunk is None:
                return None
            free += _lanes(chunk, ())
        start = free.pop()
        self.fresh.append((start, size))
        return start

    def _chunk(self, size: int) -> int | None:
        """The search goes on where the last one ended: chunks are given back between runs only."""
        start, index = 0, self._search
        if index:
            start = sum(self._chunks[index - 1])
        while index < len(self._chunks) and self._chunks[index][0] - start < size:
            start = max(start, sum(self._chunks[index]))
            index += 1
        if start + size > self.capacity:
            return None
        insort(self._chunks, (start, size), lo=index)
        self._search = index + 1
        return start


def _lanes(chunk: int, taken: Iterable[int]) -> list[int]:
    """The free blocks of a chunk, the first one last."""
    return [chunk + lane for lane in reversed(range(LANES)) if chunk + lane not in taken]


def root_room(policy: PolicyLayout | None) -> int:
    """The size of the root's own block: its policy's, or the head alone."""
    return policy.room if policy is not None else len(HEAD)


def capacity_for(rooms: Iterable[int]) -> int:
    """A map size for these blocks with room to double."""
    chunks = (-(-count // LANES) * LANES * room for room, count in Counter(rooms).items())
    return 1 << (2 * sum(chunks)).bit_length()


def used(described: Description, blocks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is taken: the root's block and every (policy index, block) given."""
    layouts = described.by_index()
    root = described.policies.get(described.root_policy or "")
    taken = {(described.root_block, root_room(root))}
    taken |= {(block, layouts[index].room) for index, block in blocks if index in layouts}
    return sorted(taken)
