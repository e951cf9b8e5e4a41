"""Numbers that a test compares with: in the instruction, or a parameter of the policy."""

from __future__ import annotations

from xdpctl.bpf.asm import DW, R1, R2, R9, Assembler
from xdpctl.record import record


@record
class Parameter:
    """A word of the row that R9 points to, so many bytes behind its begin."""

    offset: int


Operand = int | Parameter
Operands = tuple[tuple[Operand, Operand], ...]


def emit_compares(asm: Assembler, pairs: Operands, maximum: int, hit: str, miss: str) -> None:
    """Go on behind it, or to `hit`, if the number R1 is in one of the pairs, else to `miss`.

    `hit` is the label that the caller puts right behind. Clobbers R2.
    """
    for place, (low, high) in enumerate(pairs):
        last = place == len(pairs) - 1
        if low == high:
            _compare(asm, "!=" if last else "==", low, miss if last else hit)
            continue
        below = miss if last else asm.unique("beyond")
        if low != 0:
            _compare(asm, "<", low, below)
        if last and high != maximum:
            _compare(asm, ">", high, miss)
        elif not last:
            _compare(asm, "<=", high, hit)
            if low != 0:
                asm.label(below)


def _compare(asm: Assembler, test: str, operand: Operand, label: str) -> None:
    if isinstance(operand, Parameter):
        asm.load(DW, R2, R9, operand.offset)
    else:
        asm.load_immediate(R2, operand)
    asm.jump(test, R1, R2, label)
