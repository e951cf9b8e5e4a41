"""Conditions to instructions: is the record's field in the intervals?

A negated condition is the same question about the intervals between; so there is one way only.
"""

from __future__ import annotations

from xdpctl.bpf.asm import R1, R10, Assembler
from xdpctl.policy.fields import FIELDS, Field
from xdpctl.policy.intervals import Pairs, Segment, complement, merged, partition
from xdpctl.policy.record import RECORD
from xdpctl.policy.switch import Switch
from xdpctl.topology.model import Condition

_HALF = (1 << 64) - 1


def wanted(condition: Condition) -> Pairs:
    """The values that make the condition hold once its protocol is there, negation resolved."""
    if condition.negated:
        return complement(condition.intervals, (1 << FIELDS[condition.key].bits) - 1)
    return [(interval.low, interval.high) for interval in condition.intervals]


def is_always(field: Field, pairs: Pairs) -> bool:
    """Whether the guard alone decides: any value that the record can hold will do."""
    bits = field.bits if field.bits == 128 else RECORD[field.field].size.bytes * 8
    return len(pairs) == 1 and pairs[0] == (0, (1 << bits) - 1)


def emit_guard(asm: Assembler, field: str, number: int, miss: str) -> None:
    """Go to `miss` unless the record's field holds the number; clobbers R1."""
    slot = RECORD[field]
    asm.load(slot.size, R1, R10, slot.offset)
    asm.jump32("!=", R1, number, miss)


def emit_condition(asm: Assembler, field: Field, pairs: Pairs, miss: str) -> None:
    """Go to `miss` unless the field is in one of the pairs; clobbers R1 to R3.

    `pairs` are sorted, disjoint and neither nothing nor everything.
    """
    hit = asm.unique("hit")
    if field.bits == 128:
        _emit_128(asm, field.field, pairs, hit, miss)
    else:
        slot = RECORD[field.field]
        asm.load(slot.size, R1, R10, slot.offset)
        maximum = (1 << slot.size.bytes * 8) - 1
        Switch(asm, wide=False, behind=hit).emit(partition(pairs, maximum, hit, miss))
    asm.label(hit)


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
