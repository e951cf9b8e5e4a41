"""The map that a pipeline counts in: an array in memory, a row for each CPU.

Of the row that is the CPU's own only this CPU writes, and softirqs do not nest, so plain additions
suffice. The last row is no CPU's: what user space adds (counts that a rebuilt pipeline goes on
with) stands there, where no frame can be lost by a write.

The map is one value, whose address is a constant to programs: they count without a look-up. Where
the kernel has no room for so large a value (once KMALLOC_MAX_SIZE, 4 MiB), rows are cut into chunks
that are elements of the map. The bytes lie the same, one row behind the other.

A per-CPU array would cost two reads of scattered memory a frame, its pointer and then the counter;
with thousands of devices each is a cache miss.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

from xdpctl.bpf import maps
from xdpctl.bpf.asm import DW, R0, R1, R7, R8, Assembler
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.access import emit_lookup
from xdpctl.datapath.layout import COUNTER, LANES, Counters
from xdpctl.errors import KernelError
from xdpctl.record import record

MOST_WHOLE: Final = 1 << 28
"""Bytes of one value at most: the verifier takes offsets below 1 << 29 (BPF_MAX_VAR_OFF)."""

CHUNK = 1 << 16
"""Counters in one element at most: 1 MiB."""
WORDS = COUNTER.size // 8
FN_GET_SMP_PROCESSOR_ID = 8
_SHIFT = COUNTER.size.bit_length() - 1
_MASK = (1 << 64) - 1
_STRIDE = 1 << 12


@record
class CounterMap:
    """What programs must know of it: the descriptor, the counters of a row (a power of two), and
    whether the map is one value.
    """

    fd: int
    total: int
    whole: bool = False

    @classmethod
    def of(cls, opened: Map, total: int) -> Self:
        """What there is to know of an open map with rows of `total` counters."""
        return cls(opened.fd, total, opened.info.max_entries == 1)

    @property
    def chunks(self) -> int:
        """Elements that a row is cut into, where the map is not one value."""
        return max(1, self.total // CHUNK)


def create(total: int, name: str) -> Map:
    """A map of `total` counters, a power of two."""
    count, size = _rows(), total * COUNTER.size
    if count * size <= MOST_WHOLE:
        try:
            return _array(count * size, 1, name)
        except KernelError as error:
            if error.errno != errno.E2BIG:
                raise
    chunk = min(total, CHUNK)
    return _array(chunk * COUNTER.size, count * (total // chunk), name)


def _array(size: int, elements: int, name: str) -> Map:
    return maps.create(MapType.ARRAY, 4, size, elements, name, flags=maps.BPF_F_MMAPABLE)


def _rows() -> int:
    """One for each CPU, and the last."""
    return maps.highest_cpu() + 2


def rows(opened: Map) -> list[memoryview]:
    """Live words of each row: packets and bytes in turn."""
    words = opened.words()
    length = len(words) // _rows()
    return [words[at : at + length] for at in range(0, len(words), length)]


class Counted:
    """All counters of a map at one moment, by their numbers; each is summed over the rows only when
    it is asked for: of thousands, a host with two devices uses fifty.
    """

    __slots__ = ("_rows",)

    def __init__(self, opened: Map) -> None:
        self._rows = [memoryview(row).cast("Q") for row in snapshot(opened)]

    def __getitem__(self, number: int) -> Counters:
        at = number * WORDS
        packets, size = 0, 0
        for row in self._rows:
            packets += row[at]
            size += row[at + 1]
        return Counters(packets & _MASK, size & _MASK)


def snapshot(opened: Map) -> list[bytes]:
    """The rows as they are now."""
    return [row.tobytes() for row in rows(opened)]


def changed(before: Sequence[bytes], after: Sequence[bytes]) -> list[int]:
    """The counters that differ between two snapshots."""
    found: set[int] = set()
    for old, new in zip(before, after, strict=True):
        for start in range(0, len(new), _STRIDE):
            if old[start : start + _STRIDE] != new[start : start + _STRIDE]:
                found.update(
                    at // COUNTER.size
                    for at in range(start, min(start + _STRIDE, len(new)), COUNTER.size)
                    if old[at : at + COUNTER.size] != new[at : at + COUNTER.size]
                )
    return sorted(found)


def add(opened: Map, amounts: Mapping[int, Counters]) -> None:
    """Add to each counter its amount, which may be negative, while frames are counted."""
    own = rows(opened)[-1]
    for number, amount in amounts.items():
        at = number * WORDS
        own[at] = own[at] + amount.packets & _MASK
        own[at + 1] = own[at + 1] + amount.bytes & _MASK


def zero(opened: Map, blocks: Iterable[tuple[int, int]]) -> None:
    """Start these blocks (start, how many counters) from nothing; no frame counts there."""
    each = rows(opened)
    for start, size in blocks:
        nothing = memoryview(bytes(size * 8)).cast("Q")
        first, last = start * WORDS, (start + size * LANES) * WORDS
        for row in each:
            for word in range(WORDS):
                row[first + word : last : LANES * WORDS] = nothing


def emit_count(asm: Assembler, counters: CounterMap, number: int | None = None) -> None:
    """Add this frame, of R7 bytes, to a counter of block R8; clobbers R0 to R5.

    `number` is the counter's; without one it is in R1, and R8 is clobbered as well.
    """
    done = asm.unique("counted")
    if number is None:
        asm.add(R8, R1)
    asm.call(FN_GET_SMP_PROCESSOR_ID)
    if counters.whole:
        _emit_row(asm, counters, done)
    else:
        _emit_chunk(asm, counters, number, done)
    place = R8
    if number is not None:
        _emit_index(asm, number)
        place = R1
    asm.and_(place, (counters.total if counters.whole else min(counters.total, CHUNK)) - 1)
    asm.lsh(place, _SHIFT)
    asm.add(R0, place)
    for offset, amount in ((0, 1), (COUNTER.size // 2, R7)):
        asm.load(DW, R1, R0, offset)
        asm.add(R1, amount)
        asm.store(DW, R0, offset, R1)
    asm.label(done)


def _emit_row(asm: Assembler, counters: CounterMap, missing: str) -> None:
    """R0, a CPU, becomes where its row stands; the bound is for the verifier."""
    asm.jump(">", R0, maps.highest_cpu(), missing)
    asm.lsh(R0, counters.total.bit_length() - 1 + _SHIFT)
    asm.map_value(R1, counters.fd)
    asm.add(R0, R1)


def _emit_chunk(asm: Assembler, counters: CounterMap, number: int | None, missing: str) -> None:
    """R0, a CPU, becomes where the chunk of its row stands that has the counter."""
    if counters.chunks > 1:
        _emit_index(asm, number)
        asm.rsh(R1, CHUNK.bit_length() - 1)
        asm.mul(R0, counters.chunks)
        asm.add(R0, R1)
    emit_lookup(asm, counters.fd, R0, missing)


def _emit_index(asm: Assembler, number: int | None) -> None:
    asm.mov(R1, R8)
    if number is not None:
        asm.add(R1, number)
