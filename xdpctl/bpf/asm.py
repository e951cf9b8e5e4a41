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
from collections.abc import Sequence

from xdpctl.bpf.arithmetic import Arithmetic
from xdpctl.bpf.encoding import (
    ATOMIC_COMPARE_EXCHANGE,
    CALL,
    DW,
    EXIT,
    INSTRUCTION,
    JA,
    JMP32,
    JMP64,
    JUMPS,
    LD_IMM64,
    LDX,
    PSEUDO_CALL,
    PSEUDO_FUNCTION,
    PSEUDO_MAP_FD,
    PSEUDO_MAP_VALUE,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    SIZE_OF,
    SOURCE_REGISTER,
    ST,
    STX,
    STX_ATOMIC,
    TAIL_CALL,
    U32,
    AssemblyError,
    B,
    FieldRangeError,
    H,
    JumpRangeError,
    LabelError,
    Register,
    Size,
    W,
    signed32,
)
from xdpctl.topology.model import Location

__all__ = [
    "DW",
    "JUMPS",
    "R0",
    "R1",
    "R2",
    "R3",
    "R4",
    "R5",
    "R6",
    "R7",
    "R8",
    "R9",
    "R10",
    "SIZE_OF",
    "Assembler",
    "AssemblyError",
    "B",
    "FieldRangeError",
    "H",
    "JumpRangeError",
    "LabelError",
    "Register",
    "Size",
    "W",
]  # fmt: skip


class Assembler(Arithmetic):
    """Collects instructions, labels and source lines of one program.

    `lines` holds (instruction index, Location), `functions` (instruction index, name) of the
    functions embedded behind the main one, `sources` the texts of their files: for line_info and
    func_info of BTF.
    """

    __slots__ = ("_calls", "_fixups", "_labels", "_serial", "_targets", "functions", "lines",
                 "sources")  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._labels: dict[str, int] = {}
        self._fixups: list[tuple[int, str]] = []
        self._calls: list[tuple[int, str]] = []
        self._targets: set[str] = set()
        self._serial = 0
        self.lines: list[tuple[int, Location]] = []
        self.functions: list[tuple[int, str]] = []
        self.sources: dict[str, str] = {}

    # --- memory

    def load(self, size: Size, target: Register, base: Register, offset: int) -> None:
        """Load from base + offset, zero-extended."""
        self._emit(LDX | size, target, base, offset, 0)

    def store(self, size: Size, base: Register, offset: int, source: Register | int) -> None:
        """Store a register or an immediate at base + offset."""
        if type(source) is Register:
            self._emit(STX | size, base, source, offset, 0)
        else:
            self._emit(ST | size, base, 0, offset, source if size == DW else signed32(source))

    def atomic_add(self, size: Size, base: Register, offset: int, source: Register) -> None:
        """Add a register to the W or DW at base + offset atomically."""
        self._atomic(0, size, base, offset, source)  # 0 is BPF_ADD

    def compare_exchange(self, size: Size, base: Register, offset: int, source: Register) -> None:
        """Replace the W or DW at base + offset by a register if it equals R0, atomically.

        R0 becomes what stood there before, replaced or not; a W is zero-extended.
        """
        self._atomic(ATOMIC_COMPARE_EXCHANGE, size, base, offset, source)

    def _atomic(
        self, operation: int, size: Size, base: Register, offset: int, source: Register
    ) -> None:
        if size not in (W, DW):
            raise FieldRangeError("atomic operations have 4 or 8 bytes")
        self._emit(STX_ATOMIC | size, base, source, offset, operation)

    def load_immediate(self, target: Register, number: int) -> None:
        """Load a 64-bit constant, in one slot if it can be sign-extended from 32 bits, else two."""
        number = number - (1 << 64) if number >> 63 == 1 else number
        if -0x8000_0000 <= number <= 0x7FFF_FFFF:
            self.mov(target, number)
            return
        if not -(1 << 63) <= number < 1 << 63:
            raise FieldRangeError(f"{number} does not fit 64 bits")
        self._wide(target, 0, number & U32, number >> 32 & U32)

    def map_fd(self, target: Register, fd: int) -> None:
        """Load the address of a map, named by its file descriptor (BPF_PSEUDO_MAP_FD)."""
        self._wide(target, PSEUDO_MAP_FD, fd, 0)

    def map_value(self, target: Register, fd: int, offset: int = 0) -> None:
        """Load the address of an array's first value plus `offset` (BPF_PSEUDO_MAP_VALUE)."""
        self._wide(target, PSEUDO_MAP_VALUE, fd, offset)

    def _wide(self, target: Register, kind: int, low: int, high: int) -> None:
        self._emit(LD_IMM64, target, kind, 0, signed32(low))
        self._emit(0, 0, 0, 0, signed32(high))

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
        """Whether a jump or call goes to the label (the verifier refuses unreachable code)."""
        return name in self._targets

    def jump(self, test: str, left: Register, right: Register | int, label: str) -> None:
        """Jump if `left` test `right` holds on 64 bits; `test` is a key of JUMPS."""
        self._fixups.append((len(self._code), label))
        self._targets.add(label)
        if type(right) is Register:
            self._emit(JUMPS[test] | JMP64 | SOURCE_REGISTER, left, right, 0, 0)
        else:
            self._emit(JUMPS[test] | JMP64, left, 0, 0, right)

    def jump32(self, test: str, left: Register, right: Register | int, label: str) -> None:
        """Jump if the comparison holds on the lower 32 bits; the immediate may be any u32."""
        self._fixups.append((len(self._code), label))
        self._targets.add(label)
        if type(right) is Register:
            self._emit(JUMPS[test] | JMP32 | SOURCE_REGISTER, left, right, 0, 0)
        else:
            self._emit(JUMPS[test] | JMP32, left, 0, 0, signed32(right))

    def ja(self, label: str) -> None:
        """Jump always."""
        self._fixups.append((len(self._code), label))
        self._targets.add(label)
        self._emit(JA, 0, 0, 0, 0)

    def call(self, helper: int) -> None:
        """Call the kernel's helper of that number; clobbers R0 to R5."""
        self._emit(CALL, 0, 0, 0, helper)

    def call_function(self, label: str) -> None:
        """Call a function of the same program, of up to R1 to R5; clobbers R0 to R5."""
        self._calls.append((len(self._code), label))
        self._targets.add(label)
        self._emit(CALL, 0, PSEUDO_CALL, 0, 0)

    def function(self, target: Register, label: str) -> None:
        """Load the address of a function of the same program, for a helper that calls it."""
        self._calls.append((len(self._code), label))
        self._targets.add(label)
        self._wide(target, PSEUDO_FUNCTION, 0, 0)

    def tail_call(self, context: Register, fd: int, index: Register | int) -> None:
        """Go on in a program array's program; goes on behind the call if there is none.

        A constant index is patched into a direct jump (at most 1,024 such sites a program).
        Clobbers R0 to R5; an index register may be R3 or R4 to R9.
        """
        self.mov(R3, index)
        self.mov(R1, context)
        self.map_fd(R2, fd)
        self.call(TAIL_CALL)

    def exit(self) -> None:
        """Return R0."""
        self._emit(EXIT, 0, 0, 0, 0)

    def embed(
        self,
        label: str,
        code: bytes,
        functions: Sequence[tuple[int, str]] = (),
        lines: Sequence[tuple[int, Location]] = (),
    ) -> None:
        """Append functions that were assembled elsewhere; `label` names the first.

        Places in `functions` and `lines` count from the code's first instruction. The main
        function must be complete (it may not jump over others), and `label` be called: the
        verifier refuses what nothing reaches.
        """
        self.label(label)
        start = len(self._code)
        width = INSTRUCTION.size
        self._code += [code[at : at + width] for at in range(0, len(code), width)]
        self.functions += [(start + at, name) for at, name in functions or ((0, label),)]
        self.lines += [(start + at, place) for at, place in lines]

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
        offset, immediate = struct.Struct("=h"), struct.Struct("=i")
        for index, label in self._fixups:
            distance = self._distance(index, label)
            try:
                offset.pack_into(program, index * 8 + 2, distance)
            except struct.error:
                raise JumpRangeError(
                    f"jump of {distance} instructions from {index} to {label} is out of range"
                ) from None
        for index, label in self._calls:
            immediate.pack_into(program, index * 8 + 4, self._distance(index, label))
        return bytes(program)

    def _distance(self, index: int, label: str) -> int:
        """Instructions between the one behind `index` and the label."""
        try:
            return self._labels[label] - index - 1
        except KeyError:
            raise LabelError(f"instruction {index} jumps to no label {label}") from None
