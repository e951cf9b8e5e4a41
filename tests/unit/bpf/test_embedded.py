"""Users' programs as instructions: their functions are found, nothing points outside."""

from __future__ import annotations

import pytest

from xdpctl.bpf.asm import R0, R1, R2, Assembler
from xdpctl.bpf.embedded import Embedded, named, starts
from xdpctl.bpf.encoding import INSTRUCTION
from xdpctl.topology.model import Location

CALL, KERNEL_CALL = 0x10, 0x20
"""Source registers of a call, in the register byte."""


def code(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(INSTRUCTION.pack(*each) for each in instructions)


EXIT = (0x95, 0, 0, 0)


def test_functions_begin_where_calls_and_addresses_point() -> None:
    found = code(
        (0x85, CALL, 0, 4), EXIT,  # 0: to 5
        (0x18, 0x42, 0, 4), (0, 0, 0, 0), EXIT,  # 2: a callback's address: 7
        (0xB7, 0, 0, 0), EXIT,
        (0x85, CALL, 0, -3), EXIT,  # 7: to 5 again
    )  # fmt: skip
    assert starts(found) == [0, 5, 7]


def test_the_second_half_of_a_constant_is_no_instruction() -> None:
    found = code((0x18, 0x01, 0, 0), (0x85, CALL, 0, 99), EXIT)
    assert starts(found) == [0]


@pytest.mark.parametrize(
    ("instruction", "told"),
    [
        ((0x85, CALL, 0, 2), "leaves its own code at instruction 1"),
        ((0x85, CALL, 0, -3), "leaves its own code at instruction 1"),
        ((0x18, 0x41, 0, 9), "leaves its own code"),
        ((0x05, 0, 5, 0), "leaves its own code"),
        ((0x06, 0, 0, 5), "leaves its own code"),
        ((0x15, 0, -3, 0), "leaves its own code"),
        ((0x1E, 0, 7, 0), "leaves its own code"),
        ((0x85, KERNEL_CALL, 1, 77), "calls a function of a kernel module at instruction 1"),
    ],
)
def test_code_that_cannot_be_moved(instruction: tuple[int, int, int, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        starts(code((0xB7, 0, 0, 0), instruction, EXIT))


def test_calls_of_the_kernel_are_none_of_its_functions() -> None:
    assert starts(code((0x85, 0, 0, 99), (0x85, KERNEL_CALL, 0, 9999), EXIT)) == [0]


def test_names_are_the_programs_own_or_numbered() -> None:
    assert named([0, 5], ["main", "helper"], "main") == [(0, "main"), (5, "helper")]
    assert named([0, 5, 9], ["main"], "main") == [(0, "main"), (5, "main_1"), (9, "main_2")]


def test_embedding_copies_the_code_and_moves_its_functions() -> None:
    found = Embedded(code((0x85, CALL, 0, 1), EXIT, EXIT), ((0, "main"), (2, "helper")))
    asm = Assembler()
    asm.mov(R2, R1)
    asm.call_function("user")
    asm.exit()
    asm.embed("user", found.code, found.functions, [(1, Location("a.c", 3, 1))])
    assert asm.assemble().endswith(found.code)
    assert asm.functions == [(3, "main"), (5, "helper")]
    assert tuple(asm.functions) == found.placed(3)
    assert asm.lines == [(4, Location("a.c", 3, 1))]
    assert asm.is_used("user")
    assert len(asm) == 6


def test_a_function_without_names_is_called_by_its_label() -> None:
    asm = Assembler()
    asm.call_function("user")
    asm.exit()
    asm.embed("user", code((0xB7, int(R0), 0, 2), EXIT))
    assert asm.functions == [(2, "user")]
