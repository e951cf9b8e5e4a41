"""A user's program as instructions to be embedded into one of ours, behind our own.

Nothing in it depends on where it stands: jumps, calls and the addresses of functions count from
the instruction they stand in, and maps are named by descriptors. So it is copied as it is, and
only BTF has to know where its functions begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from xdpctl.bpf.encoding import (
    CALL,
    INSTRUCTION,
    LD_IMM64,
    PSEUDO_CALL,
    PSEUDO_FUNCTION,
    PSEUDO_KFUNC_CALL,
    source_register,
)
from xdpctl.record import record
from xdpctl.topology.model import Location


@record
class Embedded:
    """A program with all that it calls; `Assembler.embed` takes it as it is.

    code       its instructions, with descriptors of maps that are open as long as its object is
    functions  (first instruction, name) of each function; the program itself is the first, at 0
    lines      (instruction, place) in the user's source, where it was compiled with -g
    sources    the texts of those places, as btf.describe takes them
    """

    code: bytes = field(repr=False)
    functions: tuple[tuple[int, str], ...]
    lines: tuple[tuple[int, Location], ...] = field(default=(), repr=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)

    def placed(self, at: int) -> tuple[tuple[int, str], ...]:
        """Its functions, when its code stands behind `at` other instructions."""
        return tuple((at + start, name) for start, name in self.functions)


def starts(code: bytes) -> list[int]:
    """Where functions begin: at 0 and wherever a call or the address of a function points to.

    ValueError (a sentence that goes on after the program's name) for code that cannot be moved
    into another program.
    """
    count = len(code) // INSTRUCTION.size
    found = {0}
    for index, relative, is_function in _references(code):
        target = index + 1 + relative
        if not 0 <= target < count:
            raise ValueError(f"leaves its own code at instruction {index}")
        if is_function:
            found.add(target)
    return sorted(found)


def _references(code: bytes) -> Iterator[tuple[int, int, bool]]:
    """(instruction, distance, whether a function begins there) of all that points to code."""
    wide = False
    for index, (opcode, registers, offset, immediate) in enumerate(INSTRUCTION.iter_unpack(code)):
        if wide:  # the second half of a 16-byte instruction
            wide = False
            continue
        wide = opcode == LD_IMM64
        source = source_register(registers)
        if opcode == CALL and source == PSEUDO_KFUNC_CALL and offset:
            raise ValueError(f"calls a function of a kernel module at instruction {index}")
        if (opcode, source) in ((CALL, PSEUDO_CALL), (LD_IMM64, PSEUDO_FUNCTION)):
            yield index, immediate, True
        elif opcode == 0x06:  # gotol: 32-bit distance
            yield index, immediate, False
        elif opcode & 0x07 in (0x05, 0x06) and opcode & 0xF0 not in (0x80, 0x90):
            yield index, offset, False


def named(found: Sequence[int], names: Sequence[str], program: str) -> list[tuple[int, str]]:
    """Starts with their names; where the names are not known: the program's, numbered."""
    if len(names) != len(found):
        names = [program, *(f"{program}_{number}" for number in range(1, len(found)))]
    return list(zip(found, names, strict=True))
