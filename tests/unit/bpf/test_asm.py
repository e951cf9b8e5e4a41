"""The assembler's encoding, byte for byte, and its refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xdpctl.bpf.asm import (
    DW,
    JUMPS,
    R0,
    R1,
    R2,
    R3,
    R6,
    R10,
    Assembler,
    B,
    FieldRangeError,
    H,
    JumpRangeError,
    LabelError,
    W,
)
from xdpctl.topology.model import Location

Emit = Callable[[Assembler], None]

# What clang and the kernel's instruction-set document give for each (little-endian hosts).
ENCODINGS: list[tuple[Emit, str]] = [
    (lambda a: a.mov(R1, 5), "b701000005000000"),
    (lambda a: a.mov(R1, -1), "b7010000ffffffff"),
    (lambda a: a.mov(R1, R6), "bf61000000000000"),
    (lambda a: a.mov32(R1, 0xFFFFFFFF), "b4010000ffffffff"),
    (lambda a: a.mov32(R1, R2), "bc21000000000000"),
    (lambda a: a.add(R2, 8), "0702000008000000"),
    (lambda a: a.sub(R2, R1), "1f12000000000000"),
    (lambda a: a.mul(R2, 3), "2702000003000000"),
    (lambda a: a.or_(R2, 3), "4702000003000000"),
    (lambda a: a.and_(R2, 15), "570200000f000000"),
    (lambda a: a.xor(R2, R1), "af12000000000000"),
    (lambda a: a.lsh(R2, 2), "6702000002000000"),
    (lambda a: a.rsh(R2, 2), "7702000002000000"),
    (lambda a: a.arsh(R2, 2), "c702000002000000"),
    (lambda a: a.neg(R2), "8702000000000000"),
    (lambda a: a.add32(R2, 1), "0402000001000000"),
    (lambda a: a.sub32(R2, 0x80000000), "1402000000000080"),
    (lambda a: a.mul32(R2, R1), "2c12000000000000"),
    (lambda a: a.or32(R2, 1), "4402000001000000"),
    (lambda a: a.and32(R2, 1), "5402000001000000"),
    (lambda a: a.xor32(R2, 1), "a402000001000000"),
    (lambda a: a.lsh32(R2, 1), "6402000001000000"),
    (lambda a: a.rsh32(R2, 1), "7402000001000000"),
    (lambda a: a.big_endian(R1, 16), "dc01000010000000"),
    (lambda a: a.big_endian(R1, 32), "dc01000020000000"),
    (lambda a: a.big_endian(R1, 64), "dc01000040000000"),
    (lambda a: a.load(W, R1, R6, 4), "6161040000000000"),
    (lambda a: a.load(H, R1, R6, 12), "69610c0000000000"),
    (lambda a: a.load(B, R1, R6, 0), "7161000000000000"),
    (lambda a: a.load(DW, R1, R10, -8), "79a1f8ff00000000"),
    (lambda a: a.store(DW, R10, -8, R1), "7b1af8ff00000000"),
    (lambda a: a.store(W, R10, -4, 0xFFFFFFFF), "620afcffffffffff"),
    (lambda a: a.store(H, R10, -4, 7), "6a0afcff07000000"),
    (lambda a: a.store(B, R10, -1, R1), "731affff00000000"),
    (lambda a: a.store(DW, R10, -8, -1), "7a0af8ffffffffff"),
    (lambda a: a.atomic_add(DW, R0, 0, R1), "db10000000000000"),
    (lambda a: a.atomic_add(W, R0, 8, R1), "c310080000000000"),
    (lambda a: a.compare_exchange(DW, R1, 8, R2), "db210800f1000000"),
    (lambda a: a.compare_exchange(W, R1, -8, R2), "c321f8fff1000000"),
    (lambda a: a.load_immediate(R1, 1), "b701000001000000"),
    (lambda a: a.load_immediate(R1, -(1 << 31)), "b701000000000080"),
    (lambda a: a.load_immediate(R1, (1 << 64) - 1), "b7010000ffffffff"),
    (lambda a: a.load_immediate(R1, 0x1122334455667788), "18010000887766550000000044332211"),
    (lambda a: a.load_immediate(R1, 0x80000000), "18010000000000800000000000000000"),
    (lambda a: a.map_fd(R1, 7), "18110000070000000000000000000000"),
    (lambda a: a.map_value(R2, 7, 16), "18220000070000000000000010000000"),
    (lambda a: a.call(1), "8500000001000000"),
    (Assembler.exit, "9500000000000000"),
]


@pytest.mark.parametrize(("emit", "encoded"), ENCODINGS)
def test_each_instruction_encodes_as_the_kernel_documents(emit: Emit, encoded: str) -> None:
    asm = Assembler()
    emit(asm)
    assert asm.assemble().hex() == encoded
    assert len(asm) == len(encoded) // 16


@pytest.mark.parametrize("test", JUMPS)
def test_a_jump_counts_from_the_next_instruction(test: str) -> None:
    asm = Assembler()
    asm.label("back")
    asm.jump(test, R1, R2, "on")
    asm.jump32(test, R1, 0xFFFFFFFF, "back")
    asm.ja("on")
    asm.label("on")
    asm.exit()
    opcode = JUMPS[test]
    assert asm.assemble().hex() == (
        f"{opcode | 0x0D:02x}21020000000000"
        f"{opcode | 0x06:02x}01feffffffffff"
        "0500000000000000"
        "9500000000000000"
    )


def test_a_call_reaches_functions_before_and_behind_it() -> None:
    asm = Assembler()
    asm.call_function("far")
    asm.exit()
    asm.label("near")
    asm.exit()
    asm.label("far")
    for _ in range(40_000):  # farther than a jump goes
        asm.mov(R0, 0)
    asm.call_function("near")
    asm.exit()
    code = asm.assemble()
    assert code[:8].hex() == "8510000002000000"
    assert code[-16:-8] == bytes.fromhex("85100000") + (-40_002).to_bytes(4, "little", signed=True)
    assert asm.is_used("far")


def test_a_call_without_its_function_raises() -> None:
    asm = Assembler()
    asm.call_function("none")
    with pytest.raises(LabelError, match="no label none"):
        asm.assemble()


def test_a_tail_call_keeps_a_constant_index_constant() -> None:
    asm = Assembler()
    asm.tail_call(R6, 9, 3)
    assert asm.assemble().hex() == (
        "b703000003000000" + "bf61000000000000" + "18120000090000000000000000000000850000000c000000"
    )


@pytest.mark.parametrize(("filler", "fits"), [(32767, True), (32768, False)])
def test_a_forward_jump_reaches_as_far_as_sixteen_bits(filler: int, fits: bool) -> None:
    asm = Assembler()
    asm.ja("end")
    for _ in range(filler):
        asm.mov(R0, 0)
    asm.label("end")
    asm.exit()
    if fits:
        assert asm.assemble()[2:4] == b"\xff\x7f"
    else:
        with pytest.raises(JumpRangeError, match=r"32768 instructions from 0 to end"):
            asm.assemble()


@pytest.mark.parametrize(("filler", "fits"), [(32767, True), (32768, False)])
def test_a_backward_jump_reaches_as_far_as_sixteen_bits(filler: int, fits: bool) -> None:
    asm = Assembler()
    asm.label("start")
    for _ in range(filler):
        asm.mov(R0, 0)
    asm.ja("start")
    if fits:
        assert asm.assemble()[-6:-4] == b"\x00\x80"
    else:
        with pytest.raises(JumpRangeError):
            asm.assemble()


@pytest.mark.parametrize(
    "emit",
    [
        lambda a: a.load(W, R1, R6, 32768),
        lambda a: a.store(W, R10, -32769, R1),
        lambda a: a.mov(R1, 1 << 31),
        lambda a: a.mov32(R1, 1 << 32),
        lambda a: a.jump("==", R1, 1 << 31, "x"),
        lambda a: a.jump32("==", R1, 1 << 32, "x"),
        lambda a: a.load_immediate(R1, 1 << 64),
        lambda a: a.load_immediate(R1, -(1 << 63) - 1),
        lambda a: a.big_endian(R1, 8),
        lambda a: a.atomic_add(B, R0, 0, R3),
        lambda a: a.compare_exchange(H, R1, 0, R3),
    ],
)
def test_what_does_not_fit_its_field_raises(emit: Emit) -> None:
    with pytest.raises(FieldRangeError):
        emit(Assembler())


def test_labels_are_unique_and_resolved() -> None:
    asm = Assembler()
    first, second = asm.unique("next"), asm.unique("next")
    assert first != second
    asm.ja(first)
    assert asm.is_used(first)
    assert not asm.is_used(second)
    with pytest.raises(LabelError, match="no label"):
        asm.assemble()
    asm.label(first)
    with pytest.raises(LabelError, match="twice"):
        asm.label(first)


def test_lines_name_the_slot_that_follows() -> None:
    asm = Assembler()
    asm.load_immediate(R1, 1 << 40)
    asm.line(Location("a.yaml", 2, 5))
    asm.line(Location("a.yaml", 3, 5))
    asm.exit()
    asm.line(Location("a.yaml", 3, 5))
    asm.exit()
    assert asm.lines == [(2, Location("a.yaml", 3, 5))]
