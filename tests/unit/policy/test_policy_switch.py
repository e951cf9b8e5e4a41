"""The switch's instructions, run by a small interpreter, against the segments themselves."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from xdpctl.bpf.asm import R0, Assembler
from xdpctl.policy.intervals import complement, partition
from xdpctl.policy.switch import Switch
from xdpctl.topology.keys import merged
from xdpctl.topology.model import Interval

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
TARGETS = {"in": 1, "out": 0}


def build(pairs: list[tuple[int, int]], *, wide: bool, behind: str) -> bytes:
    """A program that returns 1 where R1 is in the pairs, 0 elsewhere."""
    asm = Assembler()
    maximum = U64 if wide else U32
    Switch(asm, wide=wide, behind=behind).emit(partition(pairs, maximum, "in", "out"))
    for target in sorted(TARGETS, key=lambda target: target != behind):
        asm.label(target)
        asm.mov(R0, TARGETS[target])
        asm.exit()
    return asm.assemble()


def run(program: bytes, number: int) -> tuple[int, int]:
    """What the program returns, and after how many instructions, with R1 = number."""
    registers = [0, number] + [0] * 9
    position = steps = 0
    while True:
        steps += 1
        opcode, pair, offset, immediate = struct.unpack_from("=BBhi", program, position * 8)
        target, source = pair & 15, pair >> 4
        operand = registers[source] if opcode & 8 else immediate
        position += 1
        if opcode == 0x95:
            return registers[0], steps
        if opcode == 0x18:
            upper = struct.unpack_from("=i", program, position * 8 + 4)[0]
            registers[target] = (upper & U32) << 32 | immediate & U32
            position += 1
        elif opcode & 7 in (5, 6):
            mask = U32 if opcode & 7 == 6 else U64
            left, right = registers[target] & mask, operand & mask
            tests = {0x00: True, 0x10: left == right, 0x20: left > right, 0x50: left != right,
                     0xB0: left <= right}  # fmt: skip
            position += offset if tests[opcode & 0xF0] else 0
        else:
            mask = U32 if opcode & 7 == 4 else U64
            left, right = registers[target] & mask, operand & mask
            results = {0xB0: right, 0x10: left - right, 0x50: left & right}
            if opcode & 0xF0 == 0x70:
                results[0x70] = left >> (right & 63)
            registers[target] = results[opcode & 0xF0] & mask


def intervals(bits: int) -> st.SearchStrategy[tuple[Interval, ...]]:
    """Up to 40 intervals, many of them small and close together."""
    maximum = (1 << bits) - 1
    number = st.one_of(
        st.integers(0, 200),
        st.integers(0, maximum),
        st.sampled_from((0, maximum, maximum - 1, maximum // 2, maximum // 2 + 1)),
    )
    one = st.tuples(number, st.one_of(st.just(0), st.just(0), st.integers(0, maximum))).map(
        lambda pair: Interval(pair[0], min(pair[0] + pair[1], maximum))
    )
    return st.lists(one, min_size=1, max_size=40).map(merged)


def check(values: tuple[Interval, ...], *, wide: bool, behind: str) -> None:
    maximum = U64 if wide else U32
    program = build([(one.low, one.high) for one in values], wide=wide, behind=behind)
    near = {edge + d for one in values for edge in (one.low, one.high) for d in (-1, 0, 1)}
    for number in {*near, 0, maximum, maximum // 3}:
        if 0 <= number <= maximum:
            wanted = any(number in one for one in values)
            assert run(program, number)[0] == wanted, number


@given(values=intervals(32), behind=st.sampled_from(("in", "out", "elsewhere")))
def test_a_32_bit_switch_finds_the_segment(values: tuple[Interval, ...], behind: str) -> None:
    check(values, wide=False, behind=behind)


@given(values=intervals(64), behind=st.sampled_from(("in", "out", "elsewhere")))
def test_a_64_bit_switch_finds_the_segment(values: tuple[Interval, ...], behind: str) -> None:
    check(values, wide=True, behind=behind)


@given(values=intervals(16))
def test_the_complement_is_all_else(values: tuple[Interval, ...]) -> None:
    rest = [
        Interval(low, high)
        for low, high in complement([(one.low, one.high) for one in values], 65535)
    ]
    assert merged([*values, *rest]) == (Interval(0, 65535),)
    assert sum(one.high - one.low + 1 for one in (*values, *rest)) == 65536


def steps(values: list[tuple[int, int]]) -> int:
    """The most instructions that any number takes, the two of the end included."""
    program = build(values, wide=False, behind="in")
    edges = {edge + d for pair in values for edge in pair for d in (0, 1)}
    return max(run(program, number)[1] for number in edges)


def test_what_is_emitted_depends_on_the_size() -> None:
    assert steps([(443, 443)]) == 3
    assert steps([(8000, 8100)]) == 4
    assert steps([(80, 80), (443, 443)]) <= 5
    bitmap = [(number, number) for number in range(100, 160, 2)]
    assert steps(bitmap) <= 10
    search = [(number, number) for number in range(0, 60000, 1000)]
    assert steps(search) <= 14
