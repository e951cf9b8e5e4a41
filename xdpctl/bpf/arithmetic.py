"""The assembler's arithmetic: moves, additions, shifts and byte order, on 64 and on 32 bits."""

from __future__ import annotations

import struct

from xdpctl.bpf.encoding import (
    ALU32,
    ALU64,
    INSTRUCTION,
    LITTLE,
    SOURCE_REGISTER,
    TO_BIG_ENDIAN,
    FieldRangeError,
    Register,
    signed32,
)


class Arithmetic:
    """Collects instructions of which none names a place in the program or in memory."""

    __slots__ = ("_code",)

    def __init__(self) -> None:
        self._code: list[bytes] = []

    def __len__(self) -> int:
        """The number of 8-byte instruction slots so far."""
        return len(self._code)

    # --- encoding

    def _emit(self, opcode: int, target: int, source: int, offset: int, immediate: int) -> None:
        registers = target | source << 4 if LITTLE else target << 4 | source
        try:
            self._code.append(INSTRUCTION.pack(opcode, registers, offset, immediate))
        except struct.error:
            raise FieldRangeError(
                f"instruction {len(self._code)}: offset {offset} or immediate {immediate} "
                "does not fit its field"
            ) from None

    def _alu(self, operation: int, target: Register, source: Register | int) -> None:
        if type(source) is Register:
            self._emit(operation | ALU64 | SOURCE_REGISTER, target, source, 0, 0)
        else:
            self._emit(operation | ALU64, target, 0, 0, source)

    def _alu32(self, operation: int, target: Register, source: Register | int) -> None:
        if type(source) is Register:
            self._emit(operation | ALU32 | SOURCE_REGISTER, target, source, 0, 0)
        else:
            self._emit(operation | ALU32, target, 0, 0, signed32(source))

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
        self._emit(0x80 | ALU64, target, 0, 0, 0)

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
        self._emit(TO_BIG_ENDIAN, target, 0, 0, bits)
