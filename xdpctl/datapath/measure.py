"""What all XDP programs begin with: how long the frame is, and its first bytes."""

from __future__ import annotations

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R7, R9, Assembler, W

XDP_DROP, XDP_PASS = 1, 2
FN_BUFF_LEN = 188
DATA, DATA_END = 0, 4
ETHERNET_HEADER = 14
LINEAR_FRAME = 1024
"""Only a frame with a longer linear part can have fragments behind it: drivers fill a buffer
before they start the next. Shorter ones are measured without the call."""


def emit_measure(asm: Assembler) -> None:
    """R7 = bytes of the whole frame of the context R6, R9 = its first 8 bytes as they stand."""
    measured = asm.unique("measured")
    asm.load(W, R2, R6, DATA)
    asm.load(W, R3, R6, DATA_END)
    asm.mov(R7, R3)
    asm.sub(R7, R2)
    asm.jump("<=", R7, LINEAR_FRAME, measured)
    asm.mov(R1, R6)
    asm.call(FN_BUFF_LEN)
    asm.mov(R7, R0)
    asm.load(W, R2, R6, DATA)
    asm.load(W, R3, R6, DATA_END)
    asm.label(measured)
    asm.mov(R4, R2)
    asm.add(R4, ETHERNET_HEADER)
    asm.jump(">", R4, R3, "short")
    asm.load(DW, R9, R2, 0)
