"""An assembler for eBPF with labels: one method an instruction, `assemble` resolves the jumps.

    asm = Assembler()
    asm.load(W, R1, R6, 0)
    asm.jump("==", R1, 5, "five")
    asm.mov(R0, 1)
    asm.exit()
    asm.label("five")
    asm.mov(R0, 2)
    asm.exit()
    program = asm.assemble()

Encoding after the kernel's Documentation/bpf/standardization/instruction-set.rst. A source operand
that is a Register is a register, a plain int is the 32-bit immediate. 64-bit operations
sign-extend the immediate; 32-bit ones zero the upper half of their destination.
"""

from __future__ import annotations

import struct
import sys
from typing import Final

from xdpctl.errors import XdpctlError
from xdpctl.topology.model import Location


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

_LDX, _ST, _STX = 0x61, 0x62, 0x63  # with BPF_MEM
_STX_ATOMIC = 0xC3
_ALU64, _ALU32, _JMP64, _JMP32 = 0x07, 0x04, 0x05, 0x06
_SOURCE_REGISTER = 0x08
_LD_IMM64 = 0x18
_CALL, _EXIT, _JA = 0x85, 0x95, 0x05
_PSEUDO_MAP_FD, _PSEUDO_MAP_VALUE = 1, 2
_TO_BIG_ENDIAN = 0xDC
_HELPER_TAIL_CALL = 12
_U32 = 0xFFFF_FFFF

JUMPS: Final = {
    "==": 0x10, ">": 0x20, ">=": 0x30, "&": 0x40, "!=": 0x50, "s>": 0x60, "s>=": 0x70,
    "<": 0xA0, "<=": 0xB0, "s<": 0xC0, "s<=": 0xD0,
}  # fmt: skip
"""The comparisons of `jump` and `jump32`: unsigned, with `s` signed, `&` is "any bit of"."""

_pack = struct.Struct("=BBhi").pack
_LITTLE: Final = sys.byteorder == "little"


class Assembler:
    """Collects instructions, labels and source lines of one program.

    `lines` holds (instruction index, Location), for the line_info of BTF.
    """

    __slots__ = ("_code", "_fixups", "_labels", "_serial", "_targets", "lines")

    def __init__(self) -> None:
        self._code: list[bytes] = []
        self._labels: dict[str, int] = {}
        self._fixups: list[tuple[int, str]] = []
        self._targets: set[str] = set()
        self._serial = 0
        self.lines: list[tuple[int, Location]] = []

    def __len__(self) -> int:
        """The number of 8-byte instruction slots so far."""
        return len(self._code)

    # --- encoding

    def _emit(self, opcode: int, target: int, source: int, offset: int, immediate: int) -> None:
        registers = target | source << 4 if _LITTLE else target << 4 | source
        try:
            self._code.append(_pack(opcode, registers, offset, immediate))
        except struct.error:
            raise FieldRangeError(
                f"instruction {len(self._code)}: offset {offset} or immediate {immediate} "
                "does not fit its field"
            ) from None

    def _alu(self, operation: int, target: Register, source: Register | int) -> None:
        if type(source) is Register:
            self._emit(operation | _ALU64 | _SOURCE_REGISTER, target, source, 0, 0)
        else:
            self._emit(operation | _ALU64, target, 0, 0, source)

    def _alu32(self, operation: int, target: Register, source: Register | int) -> None:
        if type(source) is Register:
            self._emit(operation | _ALU32 | _SOURCE_REGISTER, target, source, 0, 0)
        else:
            self._emit(operation | _ALU32, target, 0, 0, _signed32(source))

    # --- arithmetic

    def mov(self, target: Register, source: Register | int) -> None:
        """Move; an immediate is sign-extended to 64 bits."""
        self._alu(0xB0, target, source)

    def add(self, target: Register, source: Register | int) -> None:
        """Add."""
        self._alu(0x00, target, source)

    def sub(self, target: Register, source: Register | int) -> None:
        """Subtract `source` from `target`."""
        self._alu(0x10, target, source)

    def mul(self, target: Register, source: Register | int) -> None:
        """Multiply."""
        self._alu(0x20, target, source)

    def or_(self, target: Register, source: Register | int) -> None:
        """Bitwise or."""
        self._alu(0x40, target, source)

    def and_(self, target: Register, source: Register | int) -> None:
        """Bitwise and."""
        self._alu(0x50, target, source)

    def xor(self, target: Register, source: Register | int) -> None:
        """Bitwise exclusive or."""
        self._alu(0xA0, target, source)

    def lsh(self, target: Register, source: Register | int) -> None:
        """Shift left."""
        self._alu(0x60, target, source)

    def rsh(self, target: Register, source: Register | int) -> None:
        """Shift right, zeros come in."""
        self._alu(0x70, target, source)

    def arsh(self, target: Register, source: Register | int) -> None:
        """Shift right, the sign bit comes in."""
        self._alu(0xC0, target, source)

    def neg(self, target: Register) -> None:
        """Negate."""
        self._emit(0x80 | _ALU64, target, 0, 0, 0)

    def mov32(self, target: Register, source: Register | int) -> None:
        """Move the lower half; the upper half becomes zero."""
        self._alu32(0xB0, target, source)

    def add32(self, target: Register, source: Register | int) -> None:
        """Add modulo 2**32."""
        self._alu32(0x00, target, source)

    def sub32(self, target: Register, source: Register | int) -> None:
        """Subtract modulo 2**32."""
        self._alu32(0x10, target, source)

    def mul32(self, target: Register, source: Register | int) -> None:
        """Multiply modulo 2**32."""
        self._alu32(0x20, target, source)

    def or32(self, target: Register, source: Register | int) -> None:
        """Bitwise or of the lower halves."""
        self._alu32(0x40, target, source)

    def and32(self, target: Register, source: Register | int) -> None:
        """Bitwise and of the lower halves."""
        self._alu32(0x50, target, source)

    def xor32(self, target: Register, source: Register | int) -> None:
        """Bitwise exclusive or of the lower halves."""
        self._alu32(0xA0, target, source)

    def lsh32(self, target: Register, source: Register | int) -> None:
        """Shift the lower half left."""
        self._alu32(0x60, target, source)

    def rsh32(self, target: Register, source: Register | int) -> None:
        """Shift the lower half right, zeros come in."""
        self._alu32(0x70, target, source)

    def big_endian(self, target: Register, bits: int) -> None:
        """Swap the low 16, 32 or 64 bits between host and network order; zero what is above."""
        if bits not in (16, 32, 64):
            raise FieldRangeError(f"byte order of {bits} bits")
        self._emit(_TO_BIG_ENDIAN, target, 0, 0, bits)

    # --- memory

    def load(self, size: Size, target: Register, base: Register, offset: int) -> None:
        """Load from base + offset, zero-extended."""
        self._emit(_LDX | size, target, base, offset, 0)

    def store(self, size: Size, base: Register, offset: int, source: Register | int) -> None:
        """Store a register or an immediate at base + offset."""
        if type(source) is Register:
            self._emit(_STX | size, base, source, offset, 0)
        else:
            self._emit(_ST | size, base, 0, offset, source if size == DW else _signed32(source))

    def atomic_add(self, size: Size, base: Register, offset: int, source: Register) -> None:
        """Add a register to the W or DW at base + offset atomically."""
        if size not in (W, DW):
            raise FieldRangeError("atomic operations have 4 or 8 bytes")
        self._emit(_STX_ATOMIC | size, base, source, offset, 0)  # immediate 0 is BPF_ADD

    def load_immediate(self, target: Register, number: int) -> None:
        """Load a 64-bit constant, in one slot if it can be sign-extended from 32 bits, else two."""
        number = number - (1 << 64) if number >> 63 == 1 else number
        if -0x8000_0000 <= number <= 0x7FFF_FFFF:
            self.mov(target, number)
            return
        if not -(1 << 63) <= number < 1 << 63:
            raise FieldRangeError(f"{number} does not fit 64 bits")
        self._wide(target, 0, number & _U32, number >> 32 & _U32)

    def map_fd(self, target: Register, fd: int) -> None:
        """Load the address of a map, named by its file descriptor (BPF_PSEUDO_MAP_FD)."""
        self._wide(target, _PSEUDO_MAP_FD, fd, 0)

    def map_value(self, target: Register, fd: int, offset: int = 0) -> None:
        """Load the address of an array's first value plus `offset` (BPF_PSEUDO_MAP_VALUE)."""
        self._wide(target, _PSEUDO_MAP_VALUE, fd, offset)

    def _wide(self, target: Register, kind: int, low: int, high: int) -> None:
        self._emit(_LD_IMM64, target, kind, 0, _signed32(low))
        self._emit(0, 0, 0, 0, _signed32(high))

    # --- control flow

    def label(self, name: str) -> None:
        """Name the next instruction."""
        if name in self._labels:
            raise LabelError(f"label {name} is there twice")
        self._labels[name] = len(self._code)

    def unique(self, hint: str = "") -> str:
        """A label's name that nobody else has."""
        self._serial += 1
        return f".{hint}{self._serial}"

    def is_used(self, name: str) -> bool:
        """Whether a jump to the label was emitted (the verifier refuses unreachable code)."""
        return name in self._targets

    def jump(self, test: str, left: Register, right: Register | int, label: str) -> None:
        """Jump if `left` test `right` holds on 64 bits; `test` is a key of JUMPS."""
        self._fixups.append((len(self._code), label))
        self._targets.add(label)
        if type(right) is Register:
            self._emit(JUMPS[test] | _JMP64 | _SOURCE_REGISTER, left, right, 0, 0)
        else:
            self._emit(JUMPS[test] | _JMP64, left, 0, 0, right)

    def jump32(self, test: str, left: Register, right: Register | int, label: str) -> None:
        """Jump if the comparison holds on the lower 32 bits; the immediate may be any u32."""
        self._fixups.append((len(self._code), label))
        self._targets.add(label)
        if type(right) is Register:
            self._emit(JUMPS[test] | _JMP32 | _SOURCE_REGISTER, left, right, 0, 0)
        else:
            self._emit(JUMPS[test] | _JMP32, left, 0, 0, _signed32(right))

    def ja(self, label: str) -> None:
        """Jump always."""
        self._fixups.append((len(self._code), label))
        self._targets.add(label)
        self._emit(_JA, 0, 0, 0, 0)

    def call(self, helper: int) -> None:
        """Call the kernel's helper of that number; clobbers R0 to R5."""
        self._emit(_CALL, 0, 0, 0, helper)

    def tail_call(self, context: Register, fd: int, index: Register | int) -> None:
        """Go on in a program array's program; goes on behind the call if there is none.

        A constant index is patched into a direct jump (at most 1,024 such sites a program).
        Clobbers R0 to R5; an index register may be R3 or R4 to R9.
        """
        self.mov(R3, index)
        self.mov(R1, context)
        self.map_fd(R2, fd)
        self.call(_HELPER_TAIL_CALL)

    def exit(self) -> None:
        """Return R0."""
        self._emit(_EXIT, 0, 0, 0, 0)

    # --- results

    def line(self, location: Location) -> None:
        """Note that the instructions from here on come from `location`.

        The kernel wants the indexes to increase (check_btf_line): of two at one place the later
        one stands. The same location again adds nothing.
        """
        if self.lines and self.lines[-1][0] == len(self._code):
            self.lines.pop()
        if not self.lines or self.lines[-1][1] != location:
            self.lines.append((len(self._code), location))

    def assemble(self) -> bytes:
        """The program's instructions, in the host's byte order, jumps resolved."""
        program = bytearray(b"".join(self._code))
        offset = struct.Struct("=h")
        for index, label in self._fixups:
            try:
                distance = self._labels[label] - index - 1
            except KeyError:
                raise LabelError(f"instruction {index} jumps to no label {label}") from None
            try:
                offset.pack_into(program, index * 8 + 2, distance)
            except struct.error:
                raise JumpRangeError(
                    f"jump of {distance} instructions from {index} to {label} is out of range"
                ) from None
        return bytes(program)


def _signed32(number: int) -> int:
    """The same 32 bits as a signed number; what does not fit stays as it is."""
    return number - (1 << 32) if 0x8000_0000 <= number <= _U32 else number
