"""What frames a rule takes, as regions: what its fields may be, each field for itself.

A region has the values of some fields; any value of the others will do. A rule takes the frames of
any of its regions. Fields are shared by keys that read the same: `tcp.dport` and `meta.dport` have
the destination port, and differ in the L4 header that must be there. What a frame has or has not,
and what cannot be known beforehand, is a field of one bit: an extension header, an entry of a set
(sets change at run time, so all that is known of one is that it is the same set).
"""

from __future__ import annotations

from functools import cache
from typing import Final

from xdpctl.policy.fields import (
    ETHERTYPE_IP4,
    ETHERTYPE_IP6,
    EXTENSIONS,
    ICMP,
    ICMPV6,
    L4_ARP,
    SCTP,
    TCP,
    UDP,
)
from xdpctl.policy.intervals import complement
from xdpctl.record import record
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import COMPOSITE, Condition, Masked, Policy, Rule

Values = tuple[tuple[int, int], ...]
"""Sorted, disjoint intervals, both ends in."""
Region = dict[str, Values]
"""Field → its values."""

YES: Final[Values] = ((1, 1),)
NO: Final[Values] = ((0, 0),)
MOST_REGIONS: Final = 64
"""A rule that falls apart into more is taken for one that may match anything."""
MOST_PARTS: Final = 256
"""A mask that stands for more intervals than this is a field of its own: right under it or not."""

TYPE, L4, PROTOCOL, FRAGMENT, PORT = "ether.type", "l4", "l4_proto", "frag", "meta.port"
_SHARED: Final = {
    "meta.l3_proto": TYPE,
    **dict.fromkeys(("meta.l4_proto", "ip4.proto", "ip6.nexthdr"), PROTOCOL),
    **{key: key.partition(".")[2] for key in KEYS if key.endswith((".sport", ".dport", ".frag"))},
    **dict.fromkeys(("ip4.dscp", "ip6.dscp"), "dscp"),
    **dict.fromkeys(("ip4.ttl", "ip6.hoplimit"), "ttl"),
    **{key: f"icmp.{key.partition('.')[2]}" for key in KEYS if key.startswith("icmp")},
}
"""Keys that read the same field as others; each of the rest has one of its own name."""

_GUARDS: Final[dict[str, Region]] = {
    "": {},
    "ip4": {TYPE: ((ETHERTYPE_IP4, ETHERTYPE_IP4),)},
    "ip6": {TYPE: ((ETHERTYPE_IP6, ETHERTYPE_IP6),)},
    "ip": {TYPE: ((ETHERTYPE_IP4, ETHERTYPE_IP4), (ETHERTYPE_IP6, ETHERTYPE_IP6))},
    "ports": {L4: ((TCP, TCP), (UDP, UDP), (SCTP, SCTP))},
    "tcp": {L4: ((TCP, TCP),)},
    "udp": {L4: ((UDP, UDP),)},
    "sctp": {L4: ((SCTP, SCTP),)},
    "icmp": {L4: ((ICMP, ICMP),)},
    "icmpv6": {L4: ((ICMPV6, ICMPV6),)},
    "arp": {L4: ((L4_ARP, L4_ARP),)},
}
"""What a key's guard demands. Which L4 headers a type may have is known to kinds.py."""


@record
class Claim:
    """What a rule takes: nothing outside of the regions, and all within if it is `certain`."""

    regions: tuple[Region, ...]
    certain: bool


class Claims:
    """What the rules of policies take, worked out once for all who ask."""

    def __init__(self) -> None:
        self._known: dict[int, list[Claim]] = {}

    def of(self, policy: Policy) -> list[Claim]:
        """What each rule of a policy takes; the policy must live as long as this."""
        if id(policy) not in self._known:
            self._known[id(policy)] = [claim(rule) for rule in policy.rules]
        return self._known[id(policy)]


@cache
def top(field: str) -> int:
    """The largest value of a field; a device's number is its name's bytes."""
    if field == PORT:
        return (1 << 128) - 1
    if field == L4:
        return 255
    keys = [key for name, key in KEYS.items() if field_of(name) == field]
    if not keys:
        return 1
    none = "none" in keys[0].form.names and field.startswith("vlan.")
    return (1 << keys[0].bits) - (0 if none else 1)


def field_of(key: str) -> str:
    """The field that a key reads."""
    return _SHARED.get(key, key)


def extension(number: int) -> str:
    """The field that says whether an IPv6 chain has the extension header."""
    return f"chain {number}"


def claim(rule: Rule) -> Claim:
    """What a rule takes."""
    regions: list[Region] = [{}]
    certain = True
    for condition in rule.conditions:
        if condition.key == "meta.probability":
            # Drawn anew each time: 0 % and 100 % are all that is known of it.
            chance = _plain(condition)
            certain &= not chance or _is_everything(condition.key, chance)
            choices: list[Region] = [{}] if chance else []
        else:
            choices = _choices(condition)
        met = (meet(one, other) for one in regions for other in choices)
        regions = [region for region in met if region is not None]
        if len(regions) > MOST_REGIONS:
            return Claim(({},), certain=False)
    return Claim(tuple(regions), certain)


def meet(one: Region, other: Region) -> Region | None:
    """What both have; None if that is nothing."""
    if not one or not other:
        return one or other
    result = dict(one)
    for field, values in other.items():
        both = common(result[field], values) if field in result else values
        if not both:
            return None
        result[field] = both
    return result


def common(one: Values, other: Values) -> Values:
    """The values that are in both."""
    if one == other:
        return one
    result, at, to = [], 0, 0
    while at < len(one) and to < len(other):
        low, high = max(one[at][0], other[to][0]), min(one[at][1], other[to][1])
        if low <= high:
            result.append((low, high))
        if one[at][1] < other[to][1]:
            at += 1
        else:
            to += 1
    return tuple(result)


def _choices(condition: Condition) -> list[Region]:
    """The regions in which the condition holds."""
    guard: Region | None = {}
    for key in condition.keys:
        guard = None if guard is None else meet(guard, _GUARDS[KEYS[key].guards])
    if guard is None:
        return []
    field = field_of(condition.key)
    marks = _marks(condition, field)
    if condition.negated:
        found = dict(guard)
        if condition.key != COMPOSITE:
            values = _plain(condition)
            if not values:
                return []
            found |= {} if _is_everything(condition.key, values) else {field: values}
        return [found | dict.fromkeys(marks, NO)]
    choices: list[Region] = [{**guard, mark: YES} for mark in marks]
    if values := _plain(condition):
        within = {} if _is_everything(condition.key, values) else {field: values}
        choices.append({**guard, **within})
    return choices


def _marks(condition: Condition, field: str) -> list[str]:
    """Fields of one bit: each of them makes the condition hold, or not hold if it is negated."""
    marks = [f"{field} in @{found.name}" for found in condition.sets]
    bits = KEYS[condition.keys[0]].bits
    marks += [f"{field} under {mask}" for mask in condition.masks if _spread(mask, bits) is None]
    if condition.key == "ip6.nexthdr":
        marks += [
            extension(number)
            for number in EXTENSIONS
            if any(number in interval for interval in condition.intervals)
        ]
    return marks


def _plain(condition: Condition) -> Values:
    """The values that make the condition hold by themselves, negation resolved."""
    if condition.key == COMPOSITE:
        return ()
    key = KEYS[condition.key]
    found = [(interval.low, interval.high) for interval in condition.intervals]
    more: list[tuple[int, int]] = []
    if condition.masks:
        more += _spread_all(condition.masks, key.bits)
    for name in condition.devices:
        number = int.from_bytes(name.encode(), "big")
        more.append((number, number))
    if condition.key == PORT and condition.negated:
        more.append((0, 0))  # without a port nothing holds but `none`
    if more:
        found = _joined(found + more)
    if not condition.negated:
        return tuple(found)
    largest = top(PORT) if condition.key == PORT else (1 << key.bits) - 1
    return tuple(complement(found, largest))


def _joined(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted and disjoint."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], high))
        else:
            result.append((low, high))
    return result


def _is_everything(key: str, values: Values) -> bool:
    """Whether every value of the field is among them."""
    largest = (1 << KEYS[key].bits) - 1 if key == "meta.probability" else top(field_of(key))
    return values == ((0, largest),)


@cache
def _spread_all(masks: tuple[Masked, ...], bits: int) -> Values:
    """The intervals that those masks stand for together that are not too many each."""
    return tuple(_joined([pair for mask in masks for pair in _spread(mask, bits) or ()]))


@cache
def _spread(mask: Masked, bits: int) -> Values | None:
    """The intervals that a mask stands for, if they are not too many."""
    low = mask.mask & -mask.mask or 1 << bits
    free = [1 << bit for bit in range(low.bit_length(), bits) if not mask.mask >> bit & 1]
    if 1 << len(free) > MOST_PARTS:
        return None
    starts = [mask.value]
    for bit in free:
        starts += [start | bit for start in starts]
    return tuple((start, start + low - 1) for start in sorted(starts))
