"""The dispatcher's tables in memory: made, read, changed while frames look into them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from xdpctl.bpf import maps
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.hashing import Shape
from xdpctl.datapath.layout import (
    ADDRESS,
    ADDRESS_BITS,
    DEEP_SLOT,
    DISPLACEMENT,
    EMPTY_ADDRESS,
    EMPTY_KEY,
    SLOT,
    Bridge,
    Slot,
)

_WORDS = struct.Struct(f"={SLOT.size // 8}Q")
_DEEP_WORDS = struct.Struct(f"={DEEP_SLOT.size // 8}Q")


def slot_size(*, deep: bool) -> int:
    """Bytes of a slot, a power of two."""
    return DEEP_SLOT.size if deep else SLOT.size


def create_slots(shape: Shape, name: str, *, deep: bool) -> Map:
    """All slots free, the one of a passthru device behind the table too."""
    size = slot_size(deep=deep)
    made = _memory(size * (shape.slots + 1), name)
    free = struct.pack("=Q", EMPTY_KEY if deep else EMPTY_ADDRESS).ljust(size, b"\0")
    made.words()[:] = memoryview(free * (shape.slots + 1)).cast("Q")
    return made


def create_displacements(shape: Shape, name: str) -> Map:
    """All buckets at displacement 0."""
    return _memory(DISPLACEMENT.size * shape.buckets, name)


def _memory(size: int, name: str) -> Map:
    """A map of one value, which programs reach by its address (access.emit_place)."""
    size = (size + 7) // 8 * 8
    return maps.create(MapType.ARRAY, 4, size, 1, name, flags=maps.BPF_F_MMAPABLE)


def write_slots(target: Map, slots: Mapping[int, Slot | None], *, deep: bool) -> None:
    """Write these positions; None leaves the place free.

    While a slot changes it says that the device has no policy: its frames go up unmarked, and the
    device's backstop polices them.
    """
    words = target.words()
    for position, slot in slots.items():
        if deep:
            _write_deep(words, position * DEEP_SLOT.size // 8, slot)
        else:
            _write(words, position * SLOT.size // 8, slot)


def _write(words: memoryview, at: int, slot: Slot | None) -> None:
    if slot is None:
        store(words, at, EMPTY_ADDRESS)
        store(words, at + 1, 0)
        return
    first, second = _WORDS.unpack(
        SLOT.pack(slot.key | slot.policy << ADDRESS_BITS, slot.block, slot.ifindex)
    )
    store(words, at, slot.key)
    store(words, at + 1, second)
    store(words, at, first)


def _write_deep(words: memoryview, at: int, slot: Slot | None) -> None:
    """The key last, and the word with the policies after what they refer to."""
    if slot is None:
        for word, value in enumerate((EMPTY_KEY, 0, 0, 0)):
            store(words, at + word, value)
        return
    key, own, stages, bridge = _DEEP_WORDS.unpack(_packed(slot, slot.policy, slot.bridge.policy))
    if words[at] != key:
        store(words, at, EMPTY_KEY)
    store(words, at + 2, _DEEP_WORDS.unpack(_packed(slot, 0, 0))[2])
    store(words, at + 1, own)
    store(words, at + 3, bridge)
    store(words, at, key)
    store(words, at + 2, stages)


def _packed(slot: Slot, policy: int, bridge: int) -> bytes:
    return DEEP_SLOT.pack(
        slot.key, slot.block, slot.ifindex, policy, slot.hub, bridge, 0,
        slot.bridge.block, slot.bridge.ifindex,
    )  # fmt: skip


def write_displacements(target: Map, displacements: Mapping[int, int]) -> None:
    """Write these buckets of the perfect hash."""
    places = target.words().cast("B").cast("H")
    for bucket, shift in displacements.items():
        store(places, bucket, shift)


def store(words: memoryview, at: int, value: int) -> None:
    """One store, which programs see whole."""
    words[at] = value


def read_slots(opened: Map, *, deep: bool) -> Iterator[Slot]:
    """The occupied ones."""
    values = opened.read_array()
    if deep:
        yield from _read_deep(values)
        return
    for position, (word, block, ifindex) in enumerate(SLOT.iter_unpack(values)):
        address = word & ADDRESS
        if address != EMPTY_ADDRESS:
            yield Slot(position, address, word >> ADDRESS_BITS, block, ifindex)


def _read_deep(values: bytes) -> Iterator[Slot]:
    for position, words in enumerate(DEEP_SLOT.iter_unpack(values)):
        key, block, ifindex, policy, hub, bridge_policy, _, bridge_block, bridge = words
        if key != EMPTY_KEY:
            below = Bridge(bridge_policy, bridge_block, bridge)
            yield Slot(position, key, policy, block, ifindex, hub, below)


def read_displacements(opened: Map, shape: Shape) -> tuple[int, ...]:
    """By bucket."""
    return struct.unpack_from(f"={shape.buckets}H", opened.read_array())
