"""The dispatcher's tables in memory: made, read, changed while frames look into them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from xdpctl.bpf import maps
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.hashing import Shape
from xdpctl.datapath.layout import ADDRESS_BITS, DISPLACEMENT, EMPTY_ADDRESS, SLOT, Slot

_WORDS = struct.Struct(f"={SLOT.size // 8}Q")
_ADDRESS_MASK = (1 << ADDRESS_BITS) - 1


def create_slots(shape: Shape, name: str) -> Map:
    """All slots free, the one of a passthru device behind the table too."""
    made = _memory(SLOT.size * (shape.slots + 1), name)
    empty = memoryview(SLOT.pack(EMPTY_ADDRESS, 0, 0) * (shape.slots + 1)).cast("Q")
    made.words()[:] = empty
    return made


def create_displacements(shape: Shape, name: str) -> Map:
    """All buckets at displacement 0."""
    return _memory(DISPLACEMENT.size * shape.buckets, name)


def _memory(size: int, name: str) -> Map:
    """A map of one value, which programs reach by its address (access.emit_place)."""
    size = (size + 7) // 8 * 8
    return maps.create(MapType.ARRAY, 4, size, 1, name, flags=maps.BPF_F_MMAPABLE)


def write_slots(target: Map, slots: Mapping[int, Slot | None]) -> None:
    """Write these positions; None leaves the place free.

    While a slot changes it says that the device has no policy: its frames go up unmarked, and the
    device's backstop polices them.
    """
    words = target.words()
    for position, slot in slots.items():
        at = position * _WORDS.size // 8
        if slot is None:
            store(words, at, EMPTY_ADDRESS)
            store(words, at + 1, 0)
            continue
        first, second = _WORDS.unpack(
            SLOT.pack(slot.address | slot.policy << ADDRESS_BITS, slot.block, slot.ifindex)
        )
        store(words, at, slot.address)
        store(words, at + 1, second)
        store(words, at, first)


def write_displacements(target: Map, displacements: Mapping[int, int]) -> None:
    """Write these buckets of the perfect hash."""
    places = target.words().cast("B").cast("H")
    for bucket, shift in displacements.items():
        store(places, bucket, shift)


def store(words: memoryview, at: int, value: int) -> None:
    """One store, which programs see whole."""
    words[at] = value


def read_slots(opened: Map) -> Iterator[Slot]:
    """The occupied ones."""
    values = opened.read_array()
    for position, (word, block, ifindex) in enumerate(SLOT.iter_unpack(values)):
        address = word & _ADDRESS_MASK
        if address != EMPTY_ADDRESS:
            yield Slot(position, address, word >> ADDRESS_BITS, block, ifindex)


def read_displacements(opened: Map, shape: Shape) -> tuple[int, ...]:
    """By bucket."""
    return struct.unpack_from(f"={shape.buckets}H", opened.read_array())
