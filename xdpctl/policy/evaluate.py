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
    meta.length   the frame's bytes from the Ethernet header on, all VLAN tags counted, no FCS. What
                  the kernel has merged (GRO) counts as the one frame that the stack sees.
    meta.probability       a number of 32 bits is drawn each time that the condition is looked at.
    meta.flow_probability  the number is the hash of the flow (`flow_hash`): all frames of a flow
                  share one fate, on each host and after each change. Only IP has flows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xdpctl.policy.frame import Arp, Fragment, Headers, Layer, parse
from xdpctl.topology.model import Condition, Policy, Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy does with one frame.

    index    the counter of what decided: rule i → i, default → n, malformed → n + 1
    counted  every counter that goes up by one packet, in order; `index` is the last
    """

    verdict: Verdict
    index: int
    counted: tuple[int, ...]


Dice = Callable[[], int]
"""Draws a number of 32 bits."""


def _draw() -> int:
    return random.getrandbits(32)


@dataclass(frozen=True, slots=True)
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


def evaluate(policy: Policy, frame: bytes, dice: Dice = _draw) -> Decision:
    """Decide on one frame, given from its Ethernet header on with all its VLAN tags."""
    headers = parse(frame)
    keys = [condition.key for rule in policy.rules for condition in rule.conditions]
    needed = max((_KEYS[key].layer for key in keys), default=Layer.NOTHING)
    if headers.parsed < needed:
        malformed = len(policy.rules) + 1
        return Decision(policy.default, malformed, (malformed,))
    counted: list[int] = []
    for index, rule in enumerate(policy.rules):
        if all(holds(condition, headers, dice) for condition in rule.conditions):
            counted.append(index)
            if rule.action != "count":
                return Decision(rule.action, index, tuple(counted))
    default = len(policy.rules)
    return Decision(policy.default, default, (*counted, default))


def holds(condition: Condition, headers: Headers, dice: Dice = _draw) -> bool:
    """Whether the key's protocol is there and its number is as the condition wants it."""
    key = _KEYS[condition.key]
    numbers = key.numbers(headers, dice)
    if not numbers:
        return key.absent is not None and not condition.negated and key.absent in condition
    return any(number in condition for number in numbers) != condition.negated
