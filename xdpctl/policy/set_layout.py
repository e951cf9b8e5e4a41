"""How the entries of a set stand in its map: the map's kind by what the entries are.

    bitmap  ports: one bit each in one value of 8 KiB, so a look-up is a load
    hash    single values
    trie    prefixes as well: BPF_MAP_TYPE_LPM_TRIE, whose key is the prefix length and the bytes

A set changes its kind when its first prefix comes or its last one goes, which its policies notice;
any other change is the map's alone.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from xdpctl.record import record
from xdpctl.topology.model import Set

Shape = Literal["bitmap", "hash", "trie"]
BITMAP_BYTES: Final = 65536 // 8
PREFIX_BYTES: Final = 4
"""Of a trie's key: the prefix length, in the host's order; the bytes follow it."""
_ETHER_BITS, _SLOT_BITS = 48, 64


@record
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
        parts = " ".join(f"{part.offset}+{part.size}" for part in self.parts)
        return f"{self.shape} {self.size} {parts}"

    @property
    def is_raised(self) -> bool:
        """Whether an address stands alone in a trie: as in the record, in the upper bits."""
        return self.shape == "trie" and self.bits == (_ETHER_BITS,)

    def prefix(self, length: int) -> bytes:
        """How a trie's key begins: of an entry of which so many leading bits count."""
        ahead = self.parts[-1].offset * 8
        bits = ahead + length - sum(self.bits[:-1])
        return bits.to_bytes(PREFIX_BYTES, sys.byteorder)


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
    if found.prefixes:
        return Layout("trie", tuple(parts), end, found.bits)
    # The kernel hashes whole words of 4 bytes faster (jhash2) than the same with a rest (jhash).
    return Layout("hash", tuple(parts), -(-end // 4) * 4, found.bits)


def keys(found: Set) -> bytes:
    """The keys of all entries one after another; not of a bitmap. A million take half a second."""
    placed = layout(found)
    pack = _packer(placed)
    if placed.shape == "hash":
        return b"".join(map(pack, found.exact))
    groups = [(sum(found.bits), found.exact), *found.prefixes.items()]
    listed: list[bytes] = []
    for length, numbers in groups:
        before = placed.prefix(length)
        listed += [before + pack(number) for number in numbers]
    return b"".join(listed)


def _packer(placed: Layout) -> Callable[[int], bytes]:
    """`Layout.key` without the prefix length, for many numbers: shifts and one struct."""
    form, shifts = ">" if placed.shape == "trie" else "=", list[tuple[int, int]]()
    at, rest = 0, sum(placed.bits)
    for part, bits in zip(placed.parts, placed.bits, strict=True):
        rest -= bits
        form += f"{part.offset - at}x" + {1: "B", 2: "H", 4: "I", 8: "Q", 16: "QQ"}[part.size]
        at = part.offset + part.size
        for word in range(max(1, part.size // 8) - 1, -1, -1):
            shifts.append((rest + 64 * word, (1 << min(bits, 64)) - 1))
    pack = struct.Struct(f"{form}{placed.size - at}x").pack
    if placed.is_raised:
        return lambda number: pack(number << _SLOT_BITS - _ETHER_BITS)
    if len(shifts) == 1:
        return pack
    return lambda number: pack(*[number >> shift & mask for shift, mask in shifts])


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
