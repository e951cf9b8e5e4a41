"""A perfect hash over MAC addresses: two reads find a device, whatever their number.

Hash and displace: a first hash picks a bucket, the bucket's displacement moves all its keys to
free slots. A key that comes later changes only its own bucket: the moved keys are written at
their new slots first and the one displacement after, so a reader finds every key at every moment.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from xdpctl.datapath.layout import ADDRESS, HUB_SHIFT
from xdpctl.record import record

EMPTY_BUCKET = 0
_WORD = (1 << 64) - 1
_ATTEMPTS = 64
_SECOND_MULTIPLIER = 0xD1B54A32D192ED03
_FIRST_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads consecutive addresses


@record
class Shape:
    """What the program has to know: sizes as powers of two, and the multiplier."""

    bucket_bits: int
    slot_bits: int
    multiplier: int = _FIRST_MULTIPLIER

    @property
    def buckets(self) -> int:
        """How many displacements there are."""
        return 1 << self.bucket_bits

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return 1 << self.slot_bits

    @property
    def displacements(self) -> int:
        """How many different displacements there are: a number of 16 bits each."""
        return min(self.slots, 1 << 16)

    @property
    def hub_multiplier(self) -> int:
        """What the hub, the bits above an address, is multiplied by. By the same number it would
        change the highest bits of the product alone.
        """
        return (self.multiplier * _SECOND_MULTIPLIER & _WORD) | 1

    def bucket(self, key: int) -> int:
        """The bucket of a key: the address as a big-endian number, above it the hub."""
        return self.places(key)[0]

    def start(self, key: int) -> int:
        """Where a key would stand at displacement 0."""
        return self.places(key)[1]

    def places(self, key: int) -> tuple[int, int]:
        """Bucket and start of a key."""
        product = self._product(key)
        return product >> (64 - self.bucket_bits), (product >> START_SHIFT) & (self.slots - 1)

    def seen(self, keys: Iterable[int], displacements: Sequence[int]) -> Iterator[int]:
        """The slots that a reader looks at for these keys; `displacements` are those by bucket."""
        shift, mask = 64 - self.bucket_bits, self.slots - 1
        for key in keys:
            product = self._product(key)
            yield (product >> START_SHIFT) + displacements[product >> shift] & mask

    def _product(self, key: int) -> int:
        product = (key & ADDRESS) * self.multiplier
        if hub := key >> HUB_SHIFT:
            product += hub * self.hub_multiplier
        return product & _WORD


START_SHIFT = 24
"""Bits of the product that choose the slot: below those that choose the bucket, where the
product of a 48-bit address and the multiplier is still well mixed."""


def shape_for(count: int) -> Shape:
    """A shape for `count` keys that has room for a third more at least.

    No larger, as what counts is how much memory the frames of many devices touch.
    """
    bits = max(4, (count * 4 // 3).bit_length())
    return Shape(bucket_bits=bits - 2, slot_bits=bits)


@dataclass(slots=True)
class Table:
    """Keys at their slots. `place` and `drop` report what changed, for the maps to follow."""

    shape: Shape
    displacements: dict[int, int] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    members: dict[int, set[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[int], shape: Shape) -> Table | None:
        """A table of all keys, the fullest buckets first; None where this shape has no room."""
        table = cls(shape)
        grouped: dict[int, list[int]] = {}
        for key in keys:
            grouped.setdefault(shape.bucket(key), []).append(key)
        for bucket, group in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0])):
            if not table._seat(bucket, set(group)):
                return None
        return table

    def slot(self, key: int) -> int:
        """The slot a reader looks at for this key, present or not."""
        bucket, start = self.shape.places(key)
        return (start + self.displacements.get(bucket, EMPTY_BUCKET)) & (self.shape.slots - 1)

    def place(self, key: int) -> set[int] | None:
        """Add a key; returns the slots given up by keys that moved, None where there is no room."""
        bucket = self.shape.bucket(key)
        before = self.members.get(bucket, set())
        old = {self.slot(member) for member in before}
        if not self._seat(bucket, before | {key}):
            return None
        return old - {self.slot(member) for member in before | {key}}

    def drop(self, key: int) -> int:
        """Remove a key; returns the slot it gave up."""
        slot = self.slot(key)
        self.members[self.shape.bucket(key)].discard(key)
        del self.slots[slot]
        return slot

    def _seat(self, bucket: int, group: set[int]) -> bool:
        """Find a displacement with a free slot for each of the group, none of them in use.

        Slots that the group itself holds count as taken unless nothing moves: a moved key must
        not land where a reader still finds its neighbour.
        """
        size, choices = self.shape.slots, self.shape.displacements
        current = self.displacements.get(bucket, EMPTY_BUCKET)
        starts = {key: self.shape.start(key) for key in group}
        if len(set(starts.values())) < len(starts):
            return False  # two keys that no displacement separates
        for step in range(choices):
            displacement = (current + step) & (choices - 1)
            seats = {key: (start + displacement) & (size - 1) for key, start in starts.items()}
            if all(self.slots.get(seat, key) == key for key, seat in seats.items()):
                break
        else:
            return False
        for key in self.members.get(bucket, ()):
            del self.slots[self.slot(key)]
        self.displacements[bucket] = displacement
        self.members[bucket] = set(group)
        self.slots.update({seat: key for key, seat in seats.items()})
        return True


def build(keys: list[int]) -> Table:
    """A table of all keys with room for more; tries multipliers until one fits.

    Deterministic: the same keys give the same table. Keys must be distinct.
    """
    shape = shape_for(len(keys))
    source = random.Random(len(keys))  # noqa: S311 (not a secret: a spread)
    for _ in range(_ATTEMPTS):
        table = Table.of(keys, shape)
        if table is not None:
            return table
        shape = Shape(shape.bucket_bits, shape.slot_bits, source.getrandbits(64) | 1)
    raise ValueError(f"no perfect hash found for {len(keys)} addresses")
