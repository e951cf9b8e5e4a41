"""Whether a frame's values are an entry of a set: the look-up.

A set stands in an array of maps with one element: the kernel replaces all entries at once by
writing it. The array's look-up is inlined; that of a bitmap as well, that of a hash is a call.
"""

from __future__ import annotations

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R10, SIZE_OF, Assembler, W
from xdpctl.policy.fields import FIELDS, Field
from xdpctl.policy.record import MAC_SHIFT, PREFIX_LENGTH, RECORD, SET_KEY
from xdpctl.policy.set_layout import Layout, Placed, layout
from xdpctl.topology.model import Condition, Set

_FN_MAP_LOOKUP = 1


def emit_member(asm: Assembler, condition: Condition, found: Set, fd: int, inside: str) -> None:
    """Go to `inside` if the frame's values are in the set; clobbers R0 to R5.

    Goes on behind itself if they are not. The protocols of the keys are there.
    """
    placed, outside = layout(found), asm.unique("outside")
    fields = [FIELDS[key] for key in condition.keys]
    if placed.shape == "bitmap":
        _emit_bit(asm, fields[0], fd, inside, outside)
    else:
        key = _record_key(placed, fields)
        if key is None:
            key = _emit_key(asm, placed, fields)
        _emit_entries(asm, fd, outside)
        asm.mov(R1, R0)
        asm.mov(R2, R10)
        asm.add(R2, key)
        asm.call(_FN_MAP_LOOKUP)
        asm.jump("!=", R0, 0, inside)
    asm.label(outside)


def _emit_entries(asm: Assembler, fd: int, missing: str) -> None:
    """R0 = the map of the entries."""
    asm.store(W, R10, PREFIX_LENGTH - 4, 0)
    asm.mov(R2, R10)
    asm.add(R2, PREFIX_LENGTH - 4)
    asm.map_fd(R1, fd)
    asm.call(_FN_MAP_LOOKUP)
    asm.jump("==", R0, 0, missing)


def _record_key(placed: Layout, fields: list[Field]) -> int | None:
    """Where the header record itself has the bytes of the key; None: they must be put together."""
    if placed.shape != "hash" or len(fields) != 1:
        return None
    field = fields[0]
    names = {32: field.field, 128: f"{field.field}.high"}
    return RECORD[names[field.bits]].offset if field.bits in names else None


def _emit_key(asm: Assembler, placed: Layout, fields: list[Field]) -> int:
    """Put the key together; where it begins."""
    if not placed.is_packed:
        for offset in range(0, placed.size, 8):
            asm.store(DW, R10, SET_KEY + offset, 0)
    for part, field in zip(placed.parts, fields, strict=True):
        _emit_value(asm, placed, part, field)
    if placed.shape == "hash":
        return SET_KEY
    bits = placed.parts[-1].offset * 8 + placed.bits[-1]
    asm.store(W, R10, PREFIX_LENGTH, bits)
    return PREFIX_LENGTH


def _emit_value(asm: Assembler, placed: Layout, part: Placed, field: Field) -> None:
    swap, at = placed.shape == "trie", SET_KEY + part.offset
    if field.bits == 128:
        for number, half in enumerate(("high", "low")):
            asm.load(DW, R1, R10, RECORD[f"{field.field}.{half}"].offset)
            if swap:
                asm.big_endian(R1, 64)
            asm.store(DW, R10, at + 8 * number, R1)
        return
    slot = RECORD[field.field]
    asm.load(slot.size, R1, R10, slot.offset)
    if field.bits == 48:
        asm.rsh(R1, MAC_SHIFT)
        if swap and placed.bits[0] == field.bits:
            asm.lsh(R1, MAC_SHIFT)
    if swap and part.size > 1:
        asm.big_endian(R1, part.size * 8)
    asm.store(SIZE_OF[part.size], R10, at, R1)


def _emit_bit(asm: Assembler, field: Field, fd: int, inside: str, outside: str) -> None:
    """Ports: the bit of the number."""
    _emit_entries(asm, fd, outside)
    asm.mov(R1, R0)
    asm.mov(R2, R10)
    asm.add(R2, PREFIX_LENGTH - 4)
    asm.call(_FN_MAP_LOOKUP)
    asm.jump("==", R0, 0, outside)
    slot = RECORD[field.field]
    asm.load(slot.size, R1, R10, slot.offset)
    asm.mov(R2, R1)
    asm.rsh(R2, 6)
    asm.lsh(R2, 3)
    asm.add(R0, R2)
    asm.load(DW, R3, R0, 0)
    asm.and_(R1, 63)
    asm.rsh(R3, R1)
    asm.and_(R3, 1)
    asm.jump("!=", R3, 0, inside)
