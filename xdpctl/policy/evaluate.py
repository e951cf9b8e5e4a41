"""The meaning of a policy, in plain Python. The compiler is checked against this.

A condition holds if the key's protocol is in the frame and its number is among the values; negated,
if the protocol is there and the number is not. What needs saying beside that:

    vlan.*        the tag is the protocol: "!7" holds on tagged frames only. The value `none` holds
                  on frames that have no such tag; "!none" is any tag.
    ip6.nexthdr   has several numbers, those of all headers of the chain: it holds if one of them
                  is among the values, negated if none of them is. A later fragment's chain ends
                  with the number in its fragment header.
    ip*.frag      `first` has offset 0 and more to come, `later` another offset; `none` is a packet
                  in one piece, also one with an IPv6 fragment header that says so (RFC 6946).
    meta.*port    the ports of TCP, UDP and SCTP; not there on anything else.
    meta.port     what the caller says; nothing holds where it is not known, but `none`
    sets          a composite set's protocols must all be there; its number is theirs joined
    meta.length   the frame's bytes from the Ethernet header on, all VLAN tags counted, no FCS. What
                  the kernel has merged (GRO) counts as the one frame that the stack sees.
    meta.probability       a number of 32 bits is drawn each time that the condition is looked at.
    meta.flow_probability  the number is the hash of the flow (`flow_hash`): all frames of a flow
                  share one fate, on each host and after each change. Only IP has flows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from xdpctl.policy.counted import counted, is_terminal
from xdpctl.policy.frame import Arp, Fragment, Headers, Layer, parse
from xdpctl.policy.limit import Bucket
from xdpctl.record import record
from xdpctl.topology.model import COMPOSITE, Action, Condition, Outcome, Policy, Rule


@record
class Decision:
    """What a policy does with one frame.

    index    the counter of what decided, by its place in `counted`; of a policy without limits and
             other policies: rule i → i, default → n, malformed → n + 1
    counted  every counter that goes up by one packet, in order; `index` is the last
    target   redirect: where to
    """

    verdict: Outcome
    index: int
    counted: tuple[int, ...]
    target: str = ""


Dice = Callable[[], int]
"""Draws a number of 32 bits."""


def _draw() -> int:
    return random.getrandbits(32)


@record
class _Key:
    """How deep a key makes the policy look, and its numbers in a frame (none: it is not there).

    `absent` is what stands for "not there" among the values.
    """

    layer: Layer
    numbers: Callable[[Headers, Dice], tuple[int, ...]]
    absent: int | None = None


def _key(
    layer: Layer,
    value: Callable[[Headers], int | None],
    where: Callable[[Headers], bool] = lambda _: True,
    absent: int | None = None,
) -> _Key:
    """A key of at most one number, in frames that are so."""

    def numbers(frame: Headers, _: Dice) -> tuple[int, ...]:
        found = value(frame) if where(frame) else None
        return () if found is None else (found,)

    return _Key(layer, numbers, absent)


def _if_ip(version: int, value: Callable[[Headers], int | None]) -> _Key:
    return _key(Layer.IP, value, lambda frame: frame.version == version)


def _if_l4(value: Callable[[Headers], int | None], *protocols: int) -> _Key:
    return _key(Layer.WHOLE, value, lambda frame: frame.l4 in protocols)


def _if_tag(index: int, value: Callable[[int], int], absent: int) -> _Key:
    return _key(
        Layer.ETHERNET,
        lambda frame: value(frame.tags[index]),
        lambda frame: len(frame.tags) > index,
        absent,
    )


def _if_arp(value: Callable[[Arp], int]) -> _Key:
    return _key(Layer.WHOLE, lambda frame: value(frame.arp) if frame.arp else None)


_U64: Final = (1 << 64) - 1
_FACTOR: Final = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio


def flow_hash(headers: Headers) -> int:
    """32 bits of source, destination, protocol and ports of an IP packet.

    Ports count as 0 where there are none, and in every fragment, as only the first has them. The
    other direction of a flow has another hash.
    """
    saddr, daddr = headers.saddr or 0, headers.daddr or 0
    halves = (
        [saddr << 32 | daddr]
        if headers.version == 4
        else [saddr >> 64, saddr & _U64, daddr >> 64, daddr & _U64]
    )
    ports = 0
    if headers.fragment is Fragment.NONE:
        ports = (headers.sport or 0) << 16 | (headers.dport or 0)
    state = 0
    for word in (*halves, (headers.protocol or 0) << 32 | ports):
        state = (state ^ word) * _FACTOR & _U64
        state ^= state >> 32
    return (state * _FACTOR & _U64) >> 32


_KEYS: Final = {
    "ether.type": _key(Layer.ETHERNET, lambda frame: frame.ether_type),
    "ether.saddr": _key(Layer.ETHERNET, lambda frame: frame.source),
    "ether.daddr": _key(Layer.ETHERNET, lambda frame: frame.destination),
    "vlan.id": _if_tag(0, lambda tag: tag & 0x0FFF, 4096),
    "vlan.pcp": _if_tag(0, lambda tag: tag >> 13, 8),
    "vlan.inner_id": _if_tag(1, lambda tag: tag & 0x0FFF, 4096),
    "meta.l3_proto": _key(Layer.IP, lambda frame: frame.ether_type),
    "meta.l4_proto": _key(Layer.IP, lambda frame: frame.protocol),
    "meta.sport": _if_l4(lambda frame: frame.sport, 6, 17, 132),
    "meta.dport": _if_l4(lambda frame: frame.dport, 6, 17, 132),
    "meta.port": _Key(Layer.NOTHING, lambda _frame, _dice: ()),  # see _by_port: a name, no number
    "meta.length": _key(Layer.NOTHING, lambda frame: frame.length),
    "meta.probability": _Key(Layer.NOTHING, lambda _, dice: (dice(),)),
    "meta.flow_probability": _key(Layer.WHOLE, flow_hash, lambda frame: frame.version is not None),
    "ip4.saddr": _if_ip(4, lambda frame: frame.saddr),
    "ip4.daddr": _if_ip(4, lambda frame: frame.daddr),
    "ip4.proto": _if_ip(4, lambda frame: frame.protocol),
    "ip4.dscp": _if_ip(4, lambda frame: frame.dscp),
    "ip4.ttl": _if_ip(4, lambda frame: frame.hops),
    "ip4.frag": _if_ip(4, lambda frame: frame.fragment),
    "ip6.saddr": _if_ip(6, lambda frame: frame.saddr),
    "ip6.daddr": _if_ip(6, lambda frame: frame.daddr),
    "ip6.nexthdr": _Key(Layer.IP, lambda frame, _: frame.chain if frame.version == 6 else ()),
    "ip6.dscp": _if_ip(6, lambda frame: frame.dscp),
    "ip6.hoplimit": _if_ip(6, lambda frame: frame.hops),
    "ip6.frag": _if_ip(6, lambda frame: frame.fragment),
    "tcp.sport": _if_l4(lambda frame: frame.sport, 6),
    "tcp.dport": _if_l4(lambda frame: frame.dport, 6),
    "tcp.flags": _if_l4(lambda frame: frame.flags, 6),
    "udp.sport": _if_l4(lambda frame: frame.sport, 17),
    "udp.dport": _if_l4(lambda frame: frame.dport, 17),
    "sctp.sport": _if_l4(lambda frame: frame.sport, 132),
    "sctp.dport": _if_l4(lambda frame: frame.dport, 132),
    "icmp.type": _if_l4(lambda frame: frame.icmp_type, 1),
    "icmp.code": _if_l4(lambda frame: frame.icmp_code, 1),
    "icmpv6.type": _if_l4(lambda frame: frame.icmp_type, 58),
    "icmpv6.code": _if_l4(lambda frame: frame.icmp_code, 58),
    "arp.op": _if_arp(lambda arp: arp.operation),
    "arp.spa": _if_arp(lambda arp: arp.sender),
    "arp.tpa": _if_arp(lambda arp: arp.target),
}


class Meter:
    """The buckets of the limits that one policy has on one device, and the clock."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._buckets: dict[int, Bucket] = {}

    def takes(self, rule: Rule, length: int) -> bool:
        """Whether a frame of so many bytes is within the rule's limit; if so, it counts."""
        assert rule.rate is not None
        bucket = self._buckets.setdefault(id(rule), Bucket(rule.rate))
        return bucket.takes(self._clock(), length)


_OUTCOMES: Final[dict[Action, Outcome]] = {
    "pass": "pass", "drop": "drop", "tx": "tx", "redirect": "redirect", "userspace": "redirect",
}  # fmt: skip


def evaluate(
    policy: Policy,
    frame: bytes,
    dice: Dice = _draw,
    *,
    port: str | None = None,
    meter: Meter | None = None,
) -> Decision:
    """Decide on one frame, given from its Ethernet header on with all its VLAN tags.

    `port` is the name of what it came in by; without a `meter` all buckets are full.
    """
    headers = parse(frame)
    headers.port = port
    rows = {row.key: at for at, row in enumerate(counted(policy))}
    meter, first = meter or Meter(), policy
    seen: list[int] = []
    while True:
        if headers.parsed < _depth(policy):
            bad = len(rows) if policy is first else rows[id(policy), len(policy.rules), False]
            return Decision(policy.default, bad, (*seen, bad))
        index, met = _first(policy, headers, dice)
        rule = policy.rules[index] if index < len(policy.rules) else None
        over = rule is not None and rule.action == "limit" and not meter.takes(rule, len(frame))
        seen += [rows[id(policy), one, False] for one in met]
        seen.append(rows[id(policy), index, over])
        if rule is None:
            return Decision(policy.default, seen[-1], tuple(seen))
        if rule.into is None:
            verdict: Outcome = "drop" if over else _OUTCOMES.get(rule.action, "pass")
            return Decision(verdict, seen[-1], tuple(seen), rule.target)
        policy = rule.into


def _depth(policy: Policy) -> Layer:
    """The deepest layer that a key of the policy itself looks at."""
    keys = [key for rule in policy.rules for one in rule.conditions for key in one.keys]
    return max((_KEYS[key].layer for key in keys), default=Layer.NOTHING)


def _first(policy: Policy, headers: Headers, dice: Dice) -> tuple[int, list[int]]:
    """The index of the rule that decides (no rule's: none does), and those that count before it."""
    met: list[int] = []
    for index, rule in enumerate(policy.rules):
        if all(holds(condition, headers, dice) for condition in rule.conditions):
            if is_terminal(rule):
                return index, met
            met.append(index)
    return len(policy.rules), met


def holds(condition: Condition, headers: Headers, dice: Dice = _draw) -> bool:
    """Whether the key's protocol is there and its number is as the condition wants it."""
    if condition.key == COMPOSITE:
        number = _joined(condition, headers)
        return number is not None and (number in condition) != condition.negated
    if condition.key == "meta.port":
        return _by_port(condition, headers)
    key = _KEYS[condition.key]
    numbers = key.numbers(headers, dice)
    if not numbers:
        return key.absent is not None and not condition.negated and key.absent in condition
    return any(number in condition for number in numbers) != condition.negated


def _joined(condition: Condition, headers: Headers) -> int | None:
    """The numbers of a composite set's keys as one; None where a protocol is not there."""
    (found,) = condition.sets
    joined = 0
    for key, bits in zip(found.keys, found.bits, strict=True):
        numbers = _KEYS[key].numbers(headers, _draw)
        if not numbers:
            return None
        joined = joined << bits | numbers[0]
    return joined


def _by_port(condition: Condition, headers: Headers) -> bool:
    if headers.port is None:
        return 0 in condition and not condition.negated
    return (headers.port in condition.devices) != condition.negated
