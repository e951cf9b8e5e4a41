"""`log`: a sample of the frame for `xdpctl trace --live`, ten a second and rule at the most."""

from __future__ import annotations

import struct
from typing import Final

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R7, R8, R10, Assembler, W
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.limit import emit_limit
from xdpctl.policy.parse_state import Hook
from xdpctl.policy.record import NOW, SAMPLE
from xdpctl.topology.model import Rate

HEADER: Final = struct.Struct("=QIIII8x")
"""Nanoseconds since boot, the counter's number, bytes of the frame, ifindex of the device that the
program stands on, bytes of the frame that follow."""
LONGEST: Final = 96
"""Bytes of the frame in a sample."""
SIZE: Final = HEADER.size + LONGEST
RATE: Final = Rate("packets", 10, 1_000_000_000, 10)

_TAKEN = 20  # offset of "bytes that follow"
_FN_RINGBUF_OUTPUT = 130


def emit_sample(asm: Assembler, bindings: Bindings, counter: int) -> None:
    """Write a sample unless there were many just now; clobbers R0 to R5.

    A reader that is too slow, or none at all, makes the ring full, and then nothing is written.
    """
    done = asm.unique("sampled")
    emit_limit(asm, RATE, counter, bindings.limits, done)
    hook = bindings.hook.value
    asm.load(DW, R1, R10, NOW)
    asm.store(DW, R10, SAMPLE, R1)
    asm.mov(R1, counter)
    asm.add(R1, R8)
    asm.store(W, R10, SAMPLE + 8, R1)
    asm.store(W, R10, SAMPLE + 12, R7)
    if bindings.place:
        asm.load_immediate(R1, bindings.place)
    else:
        asm.load(W, R1, R6, hook.device)
    asm.store(W, R10, SAMPLE + 16, R1)
    asm.store(W, R10, SAMPLE + _TAKEN, 0)
    for offset in range(24, SIZE, 8):
        asm.store(DW, R10, SAMPLE + offset, 0)
    _emit_bytes(asm, bindings.hook)
    asm.map_fd(R1, bindings.samples)
    asm.mov(R2, R10)
    asm.add(R2, SAMPLE)
    asm.mov(R3, SIZE)
    asm.mov(R4, 0)
    asm.call(_FN_RINGBUF_OUTPUT)
    asm.label(done)


def _emit_bytes(asm: Assembler, hook: Hook) -> None:
    """The beginning of the frame, and how much of it that is."""
    fits, none = asm.unique("fits"), asm.unique("none")
    if hook.value.length is None:
        asm.mov(R4, R7)
    else:
        asm.load(W, R4, R6, hook.value.length)  # R7 counts a tag that stands beside the frame
    asm.jump("<=", R4, LONGEST, fits)
    asm.mov(R4, LONGEST)
    asm.label(fits)
    asm.jump("<", R4, 1, none)  # from "== 0" older verifiers (6.1) do not learn that it is not
    asm.store(W, R10, SAMPLE + _TAKEN, R4)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    asm.mov(R3, R10)
    asm.add(R3, SAMPLE + HEADER.size)
    asm.call(hook.value.load_bytes)
    asm.jump("==", R0, 0, none)
    asm.store(W, R10, SAMPLE + _TAKEN, 0)
    asm.label(none)
