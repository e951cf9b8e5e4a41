"""How eBPF instructions are encoded: registers, sizes, opcodes, and what cannot be encoded.

After the kernel's Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import struct
import sys
from typing import Final

from xdpctl.errors import XdpctlError


class AssemblyError(XdpctlError):
    """A program cannot be encoded."""


class JumpRangeError(AssemblyError):
    """A jump is longer than the signed 16 bits of the offset field."""


class FieldRangeError(AssemblyError):
    """An offset or immediate does not fit its field."""


class LabelError(AssemblyError):
    """A label is missing, or there twice."""


class Register(int):
    """A register's number, of a type of its own to tell it from an immediate."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"R{int(self)}"


class Size(int):
    """The width of a load or store, as the two size bits of the opcode."""

    __slots__ = ()

    @property
    def bytes(self) -> int:
        """1, 2, 4 or 8."""
        return _SIZE_BYTES[self]


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = (Register(number) for number in range(11))
W, H, B, DW = Size(0x00), Size(0x08), Size(0x10), Size(0x18)
_SIZE_BYTES: Final = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
SIZE_OF: Final = {4: W, 2: H, 1: B, 8: DW}

LDX, ST, STX = 0x61, 0x62, 0x63  # with BPF_MEM
STX_ATOMIC = 0xC3
ATOMIC_COMPARE_EXCHANGE = 0xF1  # BPF_CMPXCHG; BPF_ADD is 0
ALU64, ALU32, JMP64, JMP32 = 0x07, 0x04, 0x05, 0x06
SOURCE_REGISTER = 0x08
LD_IMM64 = 0x18
CALL, EXIT, JA = 0x85, 0x95, 0x05
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_FUNCTION = 1, 2, 4
"""Source register of LD_IMM64: what its immediate is."""
PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2
"""Source register of CALL: a function of the same program, one of the kernel."""
TO_BIG_ENDIAN = 0xDC
TAIL_CALL = 12
"""The helper's number."""
U32 = 0xFFFF_FFFF

JUMPS: Final = {
    "==": 0x10, ">": 0x20, ">=": 0x30, "&": 0x40, "!=": 0x50, "s>": 0x60, "s>=": 0x70,
    "<": 0xA0, "<=": 0xB0, "s<": 0xC0, "s<=": 0xD0,
}  # fmt: skip
"""The comparisons of `jump` and `jump32`: unsigned, with `s` signed, `&` is "any bit of"."""

INSTRUCTION: Final = struct.Struct("=BBhi")
"""Opcode, both registers, offset, immediate."""
LITTLE: Final = sys.byteorder == "little"


def source_register(registers: int) -> int:
    """The source half of an instruction's register byte."""
    return registers >> 4 if LITTLE else registers & 0xF


def signed32(number: int) -> int:
    """The same 32 bits as a signed number; what does not fit stays as it is."""
    return number - (1 << 32) if 0x8000_0000 <= number <= U32 else number
