"""The map that a pipeline counts in: an array in memory, a row for each CPU.

Of the row that is the CPU's own only this CPU writes, and softirqs do not nest, so plain additions
suffice. The last row is no CPU's: what user space adds (counts that a rebuilt pipeline goes on
with) stands there, where no frame can be lost by a write. A row is cut into chunks, as a value of
an array was at most 4 MiB on older kernels (KMALLOC_MAX_SIZE).

A per-CPU array would cost two reads of scattered memory a frame, its pointer and then the counter;
with thousands of devices each is a cache miss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdpctl.bpf import maps
from xdpctl.bpf.asm import DW, R0, R1, R7, R8, Assembler
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.access import emit_lookup
from xdpctl.datapath.layout import COUNTER, LANES, Counters
from xdpctl.record import record

CHUNK = 1 << 16
"""Counters in one element at most: 1 MiB."""
WORDS = COUNTER.size // 8
FN_GET_SMP_PROCESSOR_ID = 8
_SHIFT = COUNTER.size.bit_length() - 1
_MASK = (1 << 64) - 1
_STRIDE = 1 << 12


@record
class CounterMap:
    """What programs must know of it: the descriptor, and the counters of a row (a power of two)."""

    fd: int
    total: int

    @property
    def chunks(self) -> int:
        """Elements that a row is cut into."""
        return max(1, self.total // CHUNK)


def create(total: int, name: str) -> Map:
    """A map of `total` counters, a power of two."""
    chunk = min(total, CHUNK)
    elements = (maps.highest_cpu() + 2) * (total // chunk)
    return maps.create(
        MapType.ARRAY, 4, chunk * COUNTER.size, elements, name, flags=maps.BPF_F_MMAPABLE
    )


def rows(opened: Map) -> list[memoryview]:
    """Live words of each row: packets and bytes in turn."""
    words = opened.words()
    length = len(words) // (maps.highest_cpu() + 2)
    return [words[at : at + length] for at in range(0, len(words), length)]


def read(opened: Map) -> list[Counters]:
    """All counters, each summed over the rows."""
    sums = [sum(column) & _MASK for column in zip(*rows(opened), strict=True)]
    return list(map(Counters, sums[::2], sums[1::2]))


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
    if counters.chunks > 1:
        _emit_index(asm, number)
        asm.rsh(R1, CHUNK.bit_length() - 1)
        asm.mul(R0, counters.chunks)
        asm.add(R0, R1)
    emit_lookup(asm, counters.fd, R0, done)
    _emit_index(asm, number)
    asm.and_(R1, min(counters.total, CHUNK) - 1)
    asm.lsh(R1, _SHIFT)
    asm.add(R0, R1)
    for offset, amount in ((0, 1), (COUNTER.size // 2, R7)):
        asm.load(DW, R1, R0, offset)
        asm.add(R1, amount)
        asm.store(DW, R0, offset, R1)
    asm.label(done)


def _emit_index(asm: Assembler, number: int | None) -> None:
    asm.mov(R1, R8)
    if number is not None:
        asm.add(R1, number)
