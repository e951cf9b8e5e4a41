"""How the entries of a set stand in its map: the map's kind by what the entries are.

    bitmap  ports: one bit each in one value of 8 KiB, so a look-up is a load
    hash    single values
    trie    prefixes as well: BPF_MAP_TYPE_LPM_TRIE, whose key is the prefix length and the bytes

A set changes its kind when its first prefix comes or its last one goes, which its policies notice;
any other change is the map's alone.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from xdpctl.topology.model import Set

Shape = Literal["bitmap", "hash", "trie"]
BITMAP_BYTES: Final = 65536 // 8
PREFIX_BYTES: Final = 4
"""Of a trie's key: the prefix length, in the host's order; the bytes follow it."""
_ETHER_BITS, _SLOT_BITS = 48, 64


@dataclass(frozen=True, slots=True)
class Placed:
    """One value of an entry within the key's bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class Layout:
    """The map's kind, and where the values of an entry stand in its key.

    parts  in the order of the set's keys; offsets count behind a trie's prefix length
    size   bytes of the key without that
    """

    shape: Shape
    parts: tuple[Placed, ...]
    size: int
    bits: tuple[int, ...]

    @property
    def key_bytes(self) -> int:
        """Bytes of the map's key."""
        if self.shape == "bitmap":
            return 4
        return self.size + (PREFIX_BYTES if self.shape == "trie" else 0)

    @property
    def is_packed(self) -> bool:
        """Whether values stand side by side, with no bytes between that must be zero."""
        return self.size == sum(part.size for part in self.parts)

    @property
    def signature(self) -> str:
        """What the instructions that look into the map depend on."""
        return f"{self.shape} {' '.join(f'{part.offset}+{part.size}' for part in self.parts)}"

    def key(self, number: int, length: int | None = None) -> bytes:
        """The key of an entry; `length` of its leading bits count, if it is a prefix."""
        whole = bytearray(self.size)
        rest = number
        for part, bits in reversed([*zip(self.parts, self.bits, strict=True)]):
            value = rest & (1 << bits) - 1
            rest >>= bits
            whole[part.offset : part.offset + part.size] = self._value(value, bits, part.size)
        if self.shape == "hash":
            return bytes(whole)
        return self._prefix(length).to_bytes(PREFIX_BYTES, sys.byteorder) + whole

    def _value(self, value: int, bits: int, size: int) -> bytes:
        if self.shape == "trie":
            # An address alone stands as in the record: in the upper bits of 8 bytes.
            shift = size * 8 - bits if bits == _ETHER_BITS else 0
            return (value << shift).to_bytes(size, "big")
        if size == 16:  # as the record has it: two numbers, the higher first
            halves = (value >> 64, value & (1 << 64) - 1)
            return b"".join(half.to_bytes(8, sys.byteorder) for half in halves)
        return value.to_bytes(size, sys.byteorder)

    def _prefix(self, length: int | None) -> int:
        before, last = self._ahead
        return before + (last if length is None else length - sum(self.bits[:-1]))

    @cached_property
    def _ahead(self) -> tuple[int, int]:
        """Bits before the last value, and of it."""
        return self.parts[-1].offset * 8, self.bits[-1]


def layout(found: Set) -> Layout:
    """The layout of a set as it is now."""
    if found.type == "port":
        return Layout("bitmap", (Placed(0, 2),), 2, found.bits)
    parts: list[Placed] = []
    end = 0
    for bits in found.bits:
        size = (_SLOT_BITS if bits == _ETHER_BITS else bits) // 8
        align = min(size, 8)
        offset = -(-end // align) * align
        parts.append(Placed(offset, size))
        end = offset + size
    return Layout("trie" if found.prefixes else "hash", tuple(parts), end, found.bits)


def keys(found: Set) -> bytes:
    """The keys of all entries one after another; not of a bitmap. A million take a second."""
    placed = layout(found)
    if placed.shape == "hash" and not found.keys:
        return _packed(found.exact, placed.size)
    listed = [placed.key(number) for number in found.exact]
    for length, numbers in found.prefixes.items():
        listed += [placed.key(number, length) for number in numbers]
    return b"".join(listed)


def _packed(numbers: Iterable[int], size: int) -> bytes:
    """Plain values as `Layout.key` has them, without a call for each."""
    if size == 16:
        half = (1 << 64) - 1
        return array("Q", [each for n in numbers for each in (n >> 64, n & half)]).tobytes()
    return array({4: "I", 8: "Q"}[size], numbers).tobytes()


def bitmap(found: Set) -> bytes:
    """The value of a bitmap: the bit of a port stands in the word of 8 bytes that it falls in."""
    bits = 0
    for number in found.exact:
        bits |= 1 << number
    for length, numbers in found.prefixes.items():
        size = 1 << 16 - length
        for number in numbers:
            bits |= (1 << size) - 1 << number
    words = bits.to_bytes(BITMAP_BYTES, "little")
    if sys.byteorder == "little":
        return words
    return b"".join(words[at : at + 8][::-1] for at in range(0, BITMAP_BYTES, 8))
