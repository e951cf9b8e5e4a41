"""Adds numbers to live counters from user space without losing what the datapath adds meanwhile.

A write to a per-CPU element would overwrite frames counted since it was read. A program run
through BPF_PROG_TEST_RUN adds atomically instead: a softirq on the same CPU cannot come between.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from xdpctl.bpf import program
from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R7, R8, Assembler, W
from xdpctl.bpf.maps import Map
from xdpctl.datapath.emit import emit_lookup
from xdpctl.datapath.layout import Counters

_AMOUNT = struct.Struct("=QQI4x")


def _assemble(counters_fd: int) -> Assembler:
    """The frame is one _AMOUNT: packets, bytes, the counter's number."""
    asm = Assembler()
    asm.load(W, R2, R1, 0)
    asm.load(W, R3, R1, 4)
    asm.mov(R4, R2)
    asm.add(R4, _AMOUNT.size)
    asm.jump(">", R4, R3, "done")
    asm.load(DW, R6, R2, 0)
    asm.load(DW, R7, R2, 8)
    asm.load(W, R8, R2, 16)
    emit_lookup(asm, counters_fd, R8, "done")
    asm.atomic_add(DW, R0, 0, R6)
    asm.atomic_add(DW, R0, 8, R7)
    asm.label("done")
    asm.mov(R0, 0)
    asm.exit()
    return asm


def add(counters: Map, amounts: Mapping[int, Counters]) -> None:
    """Add to each counter its amount."""
    amounts = {number: amount for number, amount in amounts.items() if amount != Counters()}
    if not amounts:
        return
    code = _assemble(counters.fd).assemble()
    with program.load(code, program.Flavour.XDP, "xdpctl_carry") as adding:
        for number, amount in amounts.items():
            adding.run(_AMOUNT.pack(amount.packets, amount.bytes, number))
