"""`limit`: so many packets or bytes in a time, the same bucket for all CPUs.

The bucket is one number a device and rule: the time at which it will be full again (the generic
cell rate algorithm of ITU-T I.371, which is a token bucket). A frame moves that time on by what it
costs; one that would move it further than the burst takes is over the limit and moves nothing. So
nothing has to be filled up by a timer, and one compare-and-exchange is all that CPUs contend for.
"""

from __future__ import annotations

from typing import Final

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R5, R7, R8, R10, Assembler, W
from xdpctl.policy.record import NOW, SET_KEY
from xdpctl.record import record
from xdpctl.topology.model import Rate

_FN_MAP_LOOKUP, _FN_KTIME_GET_NS = 1, 5
ATTEMPTS: Final = 8
"""How often another CPU may come first; then the frame is over. Only frames that pass contend."""
_FRACTION: Final = 20
"""Bits behind the binary point of what a byte costs, where that is little."""
_DEAREST: Final = 1 << 44
"""Nanoseconds that a byte may cost: with 512 KiB (the largest GRO) the product fits 64 bits."""
_LONGEST: Final = 1 << 62
"""Nanoseconds that a burst may take: 146 years."""
_STALE: Final = 1_000_000_000
"""Nanoseconds that a bucket may be emptier than empty: CPUs read the clock before they come to the
bucket. One that is emptier was left so by another rate, before an edit, and is empty by this."""


@record
class Cost:
    """Of a packet or a byte: nanoseconds with so many bits behind the binary point."""

    number: int
    fraction: int


def cost_of(rate: Rate) -> Cost:
    """What one packet or byte of the rate costs."""
    whole = rate.period // rate.amount
    fraction = _FRACTION if rate.unit == "bytes" and whole < 1 << 24 else 0
    number = ((rate.period << fraction + 1) + rate.amount) // (2 * rate.amount)
    return Cost(min(max(number, 1), _DEAREST), fraction)


def tolerance_of(rate: Rate) -> int:
    """How far ahead the time may be, in nanoseconds: what the burst costs."""
    cost = cost_of(rate)
    return min(cost.number * rate.burst >> cost.fraction, _LONGEST)


def emit_limit(asm: Assembler, rate: Rate, counter: int, limits_fd: int, over: str) -> None:
    """Go to `over` if the frame is over the limit, else on behind it; clobbers R0 to R5.

    The bucket has the number of the rule's counter, within the block R8.
    """
    asm.call(_FN_KTIME_GET_NS)
    asm.store(DW, R10, NOW, R0)
    asm.mov(R1, counter)
    asm.add(R1, R8)
    asm.store(W, R10, SET_KEY, R1)
    asm.mov(R2, R10)
    asm.add(R2, SET_KEY)
    asm.map_fd(R1, limits_fd)
    asm.call(_FN_MAP_LOOKUP)
    asm.jump("==", R0, 0, over)
    asm.mov(R3, R0)
    asm.load(DW, R1, R10, NOW)
    _emit_cost(asm, rate)
    asm.load(DW, R0, R3, 0)
    taken, full = asm.unique("taken"), asm.unique("full")
    for _ in range(ATTEMPTS):
        idle = asm.unique("idle")
        asm.mov(R4, R0)
        asm.jump(">=", R0, R1, idle)
        asm.mov(R4, R1)
        asm.label(idle)
        asm.add(R4, R2)
        asm.load_immediate(R5, tolerance_of(rate))
        asm.add(R5, R1)
        asm.jump(">", R4, R5, full)
        asm.mov(R5, R0)
        asm.compare_exchange(DW, R3, 0, R4)
        asm.jump("==", R0, R5, taken)
    asm.ja(over)
    asm.label(full)
    asm.mov(R4, R5)
    asm.add(R4, _STALE)
    asm.jump("<=", R0, R4, over)
    asm.compare_exchange(DW, R3, 0, R5)
    asm.ja(over)
    asm.label(taken)


def _emit_cost(asm: Assembler, rate: Rate) -> None:
    """R2 = nanoseconds that the frame costs."""
    cost = cost_of(rate)
    asm.load_immediate(R2, cost.number)
    if rate.unit == "bytes":
        asm.mul(R2, R7)
        if cost.fraction:
            asm.rsh(R2, cost.fraction)


class Bucket:
    """The same in Python: one rule's bucket on one device."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._due = 0

    def takes(self, now: int, length: int) -> bool:
        """Whether a frame of `length` bytes at `now` (nanoseconds) is within the limit."""
        cost = cost_of(self._rate)
        price = cost.number if self._rate.unit == "packets" else cost.number * length
        due = max(self._due, now) + (price >> cost.fraction)
        latest = now + tolerance_of(self._rate)
        if due > latest:
            if self._due > latest + _STALE:
                self._due = latest
            return False
        self._due = due
        return True
