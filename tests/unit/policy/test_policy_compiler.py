"""What the compiler asks for and hands out; that its programs decide right is shown in kernel/."""

from __future__ import annotations

import pytest

from xdpctl.bpf.asm import R1, Assembler
from xdpctl.policy.compiler import Needs, depth, emit_policy, requirements
from xdpctl.policy.evaluate import Decision, evaluate
from xdpctl.policy.fields import FIELDS
from xdpctl.policy.record import (
    BUFFER,
    BUFFER_BYTES,
    CHAINED,
    CURSOR,
    PROTOCOL,
    RECORD,
    RECORD_BYTES,
)
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Condition, Interval, Location, Policy, Rule

LATE = ("flow", "port")
"""Fields that stand in the buffer of copied headers."""


def at(line: int) -> Location:
    return Location("policy.yaml", line, 3)


def rule(line: int, action: str, *conditions: Condition) -> Rule:
    assert action in ("pass", "drop", "count")
    return Rule(str(line), conditions, action, at(line))  # type: ignore[arg-type]


def ports(key: str, *numbers: int) -> Condition:
    return Condition(key, tuple(Interval(number, number) for number in numbers))


def policy(*rules: Rule) -> Policy:
    return Policy("p", "drop", rules, at(1))


def emitted(one: Policy, numbering: list[int] | None = None) -> Assembler:
    asm = Assembler()
    emit_policy(asm, one, prefix="p", count=count, numbering=numbering)
    return asm


def count(asm: Assembler, number: int) -> None:
    asm.mov(R1, number)
    asm.call(1000)


def counters(asm: Assembler) -> list[int]:
    """The immediates of all `R1 = …`, in order."""
    for end in ("passed", "dropped"):
        asm.label(end)
    code = asm.assemble()
    move = bytes([0xB7, R1])
    return [
        int.from_bytes(code[at + 4 : at + 8], "little")
        for at in range(0, len(code), 8)
        if code[at : at + 2] == move
    ]


def test_the_compiler_knows_the_keys_of_the_language() -> None:
    assert set(FIELDS) == set(KEYS)
    for name, field in FIELDS.items():
        assert (field.layer, field.bits) == (KEYS[name].layer, KEYS[name].bits)


def test_the_record_s_fields_lie_apart_and_within_their_128_bytes() -> None:
    fields = [slot for name, slot in RECORD.items() if name not in LATE]
    slots = [*fields, CURSOR, CHAINED, PROTOCOL]
    taken = [set(range(slot.offset, slot.offset + slot.size.bytes)) for slot in slots]
    taken.append(set(range(BUFFER, BUFFER + BUFFER_BYTES)))
    everything = set().union(*taken)
    assert sum(map(len, taken)) == len(everything)
    assert everything <= set(range(-RECORD_BYTES, 0))


def test_what_is_made_last_is_made_when_the_buffer_is_done_with() -> None:
    for late in (RECORD[name] for name in LATE):
        assert BUFFER <= late.offset <= BUFFER + BUFFER_BYTES - late.size.bytes
    assert len({RECORD[name].offset for name in LATE}) == len(LATE)


def test_the_verifier_can_follow_the_count_of_extension_headers() -> None:
    """It begins a slot into which nothing else is stored while the chain is walked."""
    assert CHAINED.offset % 8 == 0
    beside = {
        name for name, slot in RECORD.items() if CHAINED.offset < slot.offset < CHAINED.offset + 8
    }
    assert beside == {"vlan.pcp", "vlan.id", "length"}


def test_no_narrow_field_begins_a_slot() -> None:
    """See the record's docstring: the verifier would walk the rules once for each constant."""
    for name, slot in RECORD.items():
        assert slot.offset % slot.size.bytes == 0, name
        assert (slot.offset % 8 == 0) == (slot.size.bytes == 8), name


def test_requirements_are_those_of_all_policies() -> None:
    nothing = policy(rule(2, "pass"))
    types = policy(rule(2, "pass", ports("ether.type", 0x806)))
    web = policy(rule(2, "pass", ports("tcp.dport", 80)))
    wide = policy(rule(2, "pass", ports("ip6.saddr", 1)))
    assert [depth(one) for one in (nothing, types, wide, web)] == [0, 1, 2, 3]
    assert requirements([]) == Needs(0, frozenset({"parsed"}))
    assert requirements([nothing, types]) == Needs(1, frozenset({"parsed", "ether.type"}))
    assert requirements([web, types, wide]) == Needs(
        3,
        frozenset({"parsed", "ether.type", "l4", "dport", "ip6.saddr.high", "ip6.saddr.low"}),
    )


def test_counters_are_numbered_by_rule_default_malformed() -> None:
    one = policy(rule(2, "count", ports("tcp.dport", 80)), rule(3, "pass", ports("tcp.dport", 443)))
    assert counters(emitted(one)) == [0, 1, 2, 3]
    assert counters(emitted(one, [7, 9, 0, 1])) == [7, 9, 0, 1]


def test_each_rule_s_instructions_name_its_line() -> None:
    one = policy(rule(2, "count", ports("tcp.dport", 80)), rule(3, "pass", ports("udp.dport", 53)))
    lines = emitted(one).lines
    assert [location.line for _, location in lines] == [1, 2, 3, 1]
    indexes = [index for index, _ in lines]
    assert indexes[0] == 0
    assert indexes == sorted(set(indexes))


@pytest.mark.parametrize(
    "impossible",
    [
        [ports("tcp.dport", 80), ports("udp.dport", 53)],
        [ports("ip4.saddr", 1), ports("ip6.saddr", 1)],
        [Condition("tcp.dport", (Interval(0, 65535),), negated=True)],
        [Condition("tcp.dport", ())],
    ],
)
def test_a_rule_that_nothing_matches_costs_nothing(impossible: list[Condition]) -> None:
    least = policy(rule(2, "pass", ports("tcp.dport", 443)))
    more = policy(rule(1, "drop", *impossible), *least.rules)
    assert len(emitted(more)) == len(emitted(least))


def test_behind_a_rule_that_all_frames_match_nothing_is_emitted() -> None:
    one = policy(rule(2, "pass"), rule(3, "drop", ports("tcp.dport", 80)))
    asm = emitted(one)
    assert asm.is_used("passed")
    assert asm.is_used("dropped")  # malformed frames
    assert counters(asm) == [0, 3]


def test_an_empty_policy_is_its_default() -> None:
    asm = emitted(policy())
    assert not asm.is_used("passed")
    assert counters(asm) == [0]
    assert evaluate(policy(), b"") == Decision("drop", 0, (0,))
