"""Conditions to instructions: is the record's field in the intervals, or right under a mask?

A negated condition asks the same of the intervals between; only where each mask leads differs.
"""

from __future__ import annotations

from xdpctl.bpf.asm import R0, R1, R2, R3, R10, Assembler
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.fields import CHAIN_BITS, FIELDS, PORT, RANDOM, Field
from xdpctl.policy.intervals import Pairs, Segment, complement, merged, partition
from xdpctl.policy.members import emit_member
from xdpctl.policy.operand import Operands, emit_compares
from xdpctl.policy.record import MAC_SHIFT, RECORD
from xdpctl.policy.switch import Switch
from xdpctl.record import record
from xdpctl.topology.keys import merged as merged_intervals
from xdpctl.topology.model import COMPOSITE, Condition, Interval, Masked, Set

_HALF = (1 << 64) - 1
_WHOLE_BITS = (48, 128)
_FN_GET_PRANDOM_U32 = 7
_LOOKUP = 8
"""What a look-up costs, in compares."""


@record
class Test:
    """What makes a condition hold once its protocol is there, negation resolved.

    chosen, barred  what is right under one of these masks holds, or does not, whatever `pairs`
    chain           bits of `ip6.chain`: one of them makes it hold, or not hold if `negated`
    condition       what it was made of: its sets hold, or do not, whatever `pairs`
    operands        instead of `pairs`, where some of the numbers are parameters
    """

    field: Field
    pairs: Pairs
    chosen: tuple[Masked, ...]
    barred: tuple[Masked, ...]
    chain: int
    condition: Condition
    operands: Operands = ()

    @property
    def maximum(self) -> int:
        """The largest number that the record can hold."""
        return (1 << _bits(self.field)) - 1

    @property
    def negated(self) -> bool:
        """Whether sets, masks and chain make it not hold."""
        return self.condition.negated

    @property
    def sets(self) -> tuple[Set, ...]:
        """The sets that are looked into."""
        return self.condition.sets

    @property
    def is_never(self) -> bool:
        """Whether no value will do."""
        return not (self.pairs or self.chosen or (self.sets and not self.negated))

    @property
    def is_always(self) -> bool:
        """Whether the guard alone decides: any value that the record can hold will do, and nothing
        is taken out. What a set or a mask adds to all values is nothing.
        """
        taken_out = self.negated and (self.barred or self.sets or self.chain)
        return self.takes_all and not taken_out

    @property
    def takes_all(self) -> bool:
        """Whether the pairs are all numbers that the record can hold."""
        return len(self.pairs) == 1 and self.pairs[0] == (0, self.maximum)

    @property
    def cost(self) -> int:
        """Roughly how long it takes."""
        compares = (len(self.pairs) + len(self.chosen) + len(self.barred)) * (
            4 if self.field.bits == 128 or self.field.field == RANDOM else 1
        )
        return compares + _LOOKUP * len(self.sets)


def test_of(condition: Condition, bindings: Bindings) -> Test:
    """What to test for a condition."""
    field = FIELDS[condition.keys[0]]
    values = condition.intervals
    if condition.devices:
        values = merged_intervals([*values, *_ports(condition, bindings)])
    pairs = [(interval.low, interval.high) for interval in values]
    if condition.key == COMPOSITE:
        everything = [(0, (1 << _bits(field)) - 1)] if condition.negated else []
        return Test(field, everything, (), (), 0, condition)
    chain = 0
    if field.chain:
        chain = sum(
            bit
            for extension, bit in CHAIN_BITS.items()
            if any(low <= extension <= high for low, high in pairs)
        )
    if not condition.negated:
        return Test(field, pairs, condition.masks, (), chain, condition)
    if field.field == PORT:  # nothing holds on a frame that came in by no port
        pairs = [(0, 0), *(pair for pair in pairs if pair != (0, 0))]
    rest = complement(pairs, (1 << field.bits) - 1)
    return Test(field, rest, (), condition.masks, chain, condition)


def _ports(condition: Condition, bindings: Bindings) -> list[Interval]:
    """The ifindexes of the devices that the condition names."""
    return [Interval(bindings.devices[name], bindings.devices[name]) for name in condition.devices]


def emit_guard(asm: Assembler, field: str, numbers: frozenset[int], miss: str) -> None:
    """Go to `miss` unless the record's field holds one of the numbers; clobbers R1 to R3."""
    slot = RECORD[field]
    asm.load(slot.size, R1, R10, slot.offset)
    if len(numbers) == 1:
        (number,) = numbers
        asm.jump32("!=", R1, number, miss)
        return
    hit = asm.unique("guarded")
    pairs = [(number, number) for number in sorted(numbers)]
    maximum = (1 << slot.size.bytes * 8) - 1
    Switch(asm, wide=False, behind=hit).emit(partition(pairs, maximum, hit, miss))
    asm.label(hit)


def emit_test(asm: Assembler, test: Test, miss: str, bindings: Bindings) -> None:
    """Go to `miss` unless the field is as the test wants it; clobbers R0 to R5.

    The pairs are sorted and disjoint, and the test is neither always nor never true.
    """
    hit = asm.unique("hit")
    end = miss if test.negated else hit
    if test.chain:
        slot = RECORD["ip6.chain"]
        asm.load(slot.size, R1, R10, slot.offset)
        asm.jump32("&", R1, test.chain, end)
    for found in test.sets:
        emit_member(asm, test.condition, found, bindings.sets[found.name], end)
    masks = test.barred if test.negated else test.chosen
    if test.operands:
        _load_number(asm, test.field)
        emit_compares(asm, test.operands, test.maximum, hit, miss)
    elif not test.pairs and not masks:
        asm.ja(miss)
    elif masks or not test.takes_all:
        _emit_number(asm, test, masks, hit, miss)
    asm.label(hit)


def _emit_number(
    asm: Assembler, test: Test, masks: tuple[Masked, ...], hit: str, miss: str
) -> None:
    """Whether the number is right under a mask or in a pair; goes on behind itself on a hit."""
    field, end = test.field, miss if test.negated else hit
    if field.bits == 128:
        _emit_128(asm, field.field, test.pairs, hit, miss)
        return
    _load_number(asm, field)
    wide = field.bits > 32
    if not test.pairs:
        for mask in masks[:-1]:
            _emit_mask(asm, mask, "==", end, wide=wide)
        _emit_mask(asm, masks[-1], "!=", miss, wide=wide)
        return
    for mask in masks:
        _emit_mask(asm, mask, "==", end, wide=wide)
    Switch(asm, wide=wide, behind=hit).emit(partition(test.pairs, test.maximum, hit, miss))


def _bits(field: Field) -> int:
    """How wide the number is that is compared: the record's field, unless it is a part of it."""
    if field.field == RANDOM or field.bits in _WHOLE_BITS:
        return field.bits
    return RECORD[field.field].size.bytes * 8


def _load_number(asm: Assembler, field: Field) -> None:
    """R1 = the field's number; clobbers R0 to R5."""
    if field.field == RANDOM:
        asm.call(_FN_GET_PRANDOM_U32)
        asm.mov(R1, R0)
        return
    slot = RECORD[field.field]
    asm.load(slot.size, R1, R10, slot.offset)
    if field.bits == 48:
        asm.rsh(R1, MAC_SHIFT)  # breaks the tie between register and slot, too: see _emit_128


def _emit_mask(asm: Assembler, mask: Masked, test: str, label: str, *, wide: bool) -> None:
    """Go to the label if R1 under the mask is ("=="), or is not, its value; clobbers R2 and R3."""
    if wide:
        asm.load_immediate(R2, mask.mask)
        asm.and_(R2, R1)
        asm.load_immediate(R3, mask.value)
        asm.jump(test, R2, R3, label)
    else:
        asm.mov32(R2, R1)
        asm.and32(R2, mask.mask)
        asm.jump32(test, R2, mask.value, label)


def _emit_128(asm: Assembler, field: str, pairs: Pairs, hit: str, miss: str) -> None:
    """The upper half decides, or sends to a switch of its own on the lower half."""
    segments, mixed = _by_upper_half(asm, pairs, hit, miss)
    # A shift breaks the tie between register and stack slot, by which the verifier would learn
    # the slot's value from each compare and walk the later rules once for each value.
    shift = _common_zeros(segments)
    segments = [Segment(low >> shift, high >> shift, target) for low, high, target in segments]
    first = next(iter(mixed), hit)
    _load_half(asm, f"{field}.high", shift)
    Switch(asm, wide=True, behind=first).emit(segments)
    labels = list(mixed)
    for label, following in zip(labels, [*labels, hit][1:], strict=True):
        asm.label(label)
        _load_half(asm, f"{field}.low", 0)
        lower = partition(mixed[label], _HALF, hit, miss)
        Switch(asm, wide=True, behind=following).emit(lower)


def _load_half(asm: Assembler, field: str, shift: int) -> None:
    slot = RECORD[field]
    asm.load(slot.size, R1, R10, slot.offset)
    asm.rsh(R1, shift)


def _by_upper_half(
    asm: Assembler, pairs: Pairs, hit: str, miss: str
) -> tuple[list[Segment], dict[str, Pairs]]:
    """The upper halves as segments; a label and the lower halves where those decide."""
    whole: Pairs = []
    partly: dict[int, Pairs] = {}
    for low, high in pairs:
        first, last = low >> 64, high >> 64
        if first == last and low & _HALF == 0 and high & _HALF == _HALF:
            whole.append((first, last))
        elif first == last:
            partly.setdefault(first, []).append((low & _HALF, high & _HALF))
        else:
            if low & _HALF:
                partly.setdefault(first, []).append((low & _HALF, _HALF))
                first += 1
            if high & _HALF != _HALF:
                partly.setdefault(last, []).append((0, high & _HALF))
                last -= 1
            if first <= last:
                whole.append((first, last))
    labels = {number: asm.unique("half") for number in partly}
    marked = [Segment(low, high, hit) for low, high in whole]
    marked += [Segment(number, number, labels[number]) for number in partly]
    segments, start = [], 0
    for segment in sorted(marked):
        if segment.low > start:
            segments.append(Segment(start, segment.low - 1, miss))
        segments.append(segment)
        start = segment.high + 1
    if start <= _HALF:
        segments.append(Segment(start, _HALF, miss))
    return merged(segments), {labels[number]: lower for number, lower in partly.items()}


def _common_zeros(segments: list[Segment]) -> int:
    """How many low bits no boundary needs: the host part of the shortest prefixes."""
    boundaries = 1 << 63
    for segment in segments[1:]:
        boundaries |= segment.low
    return (boundaries & -boundaries).bit_length() - 1
