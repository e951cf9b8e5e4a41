"""Metadata before a frame: the mark for the gates of its devices, and what a part is told."""

from __future__ import annotations

from xdpctl.bpf.asm import R0, R1, R2, R3, R4, R6, R8, R9, R10, Assembler, W
from xdpctl.datapath.demux import HIDDEN, LOWER
from xdpctl.datapath.emit import IFINDEX
from xdpctl.datapath.layout import HIDDEN_SHIFT, METADATA, halves, metadata_size
from xdpctl.policy.parse import Hook

FN_ADJUST_META = 54
DATA, DATA_META = 0, 8
"""Offsets in struct xdp_md."""


def emit_mark(asm: Assembler, nonce: int, *, deep: bool) -> None:
    """Put nonce and ifindexes before the frame: the backstop lets it through, and only it.

    A driver that refuses metadata leaves the frame to the backstops.
    """
    emit_room(asm, metadata_size(deep=deep))
    emit_sign(asm, nonce)
    _tell(asm, deep=deep)


def emit_sign(asm: Assembler, nonce: int) -> None:
    """The nonce at R2."""
    low, high = halves(nonce)
    asm.store(W, R2, 0, low)
    asm.store(W, R2, 4, high)


def emit_hand_over(asm: Assembler, *, deep: bool) -> None:
    """Tell a part the block R8 and the policy R9, and all that the mark will say."""
    emit_room(asm, metadata_size(deep=deep))
    _tell(asm, deep=deep)
    asm.store(W, R2, 0, R8)
    asm.mov(R3, R9)
    if deep:
        asm.load(W, R1, R10, HIDDEN)
        asm.lsh(R1, HIDDEN_SHIFT)
        asm.or_(R3, R1)
    asm.store(W, R2, 4, R3)


def emit_handed(asm: Assembler, missing: str, *, deep: bool) -> None:
    """What `emit_hand_over` has told: R8, R9 and the ifindexes where they were."""
    emit_metadata(asm, missing, deep=deep)
    asm.load(W, R1, R2, 8)
    asm.store(W, R10, IFINDEX, R1)
    asm.load(W, R8, R2, 0)
    asm.load(W, R9, R2, 4)
    if not deep:
        return
    for number, cell in enumerate(LOWER):
        asm.load(W, R1, R2, METADATA.size + 4 * number)
        asm.store(W, R10, cell, R1)
    asm.mov(R1, R9)
    asm.rsh(R1, HIDDEN_SHIFT)
    asm.store(W, R10, HIDDEN, R1)
    asm.and_(R9, (1 << HIDDEN_SHIFT) - 1)


def emit_sign_handed(asm: Assembler, nonce: int, missing: str, *, deep: bool) -> None:
    """Make what was handed over the mark; a user's program may have put metadata of its own there
    meanwhile.
    """
    emit_metadata(asm, missing, deep=deep)
    emit_sign(asm, nonce)
    _tell(asm, deep=deep)


def emit_metadata(asm: Assembler, missing: str, *, deep: bool) -> None:
    """R2 = the metadata that stands before the frame; clobbers R3 and R4."""
    asm.load(W, R2, R6, DATA_META)
    asm.load(W, R3, R6, DATA)
    asm.mov(R4, R2)
    asm.add(R4, metadata_size(deep=deep))
    asm.jump(">", R4, R3, missing)


def _tell(asm: Assembler, *, deep: bool) -> None:
    """The device, the port and the devices below, behind the nonce at R2."""
    asm.load(W, R1, R10, IFINDEX)
    asm.store(W, R2, 8, R1)
    asm.load(W, R1, R6, Hook.XDP.value.device)
    asm.store(W, R2, 12, R1)
    for number, cell in enumerate(LOWER if deep else ()):
        asm.load(W, R1, R10, cell)
        asm.store(W, R2, METADATA.size + 4 * number, R1)


def emit_room(asm: Assembler, size: int) -> None:
    """R2 = `size` bytes of metadata before the frame; without them the frame goes to the stack."""
    asm.mov(R1, R6)
    asm.mov(R2, -size)
    asm.call(FN_ADJUST_META)
    asm.jump("!=", R0, 0, "stack")
    asm.load(W, R2, R6, DATA_META)
    asm.load(W, R3, R6, DATA)
    asm.mov(R4, R2)
    asm.add(R4, size)
    asm.jump(">", R4, R3, "stack")
