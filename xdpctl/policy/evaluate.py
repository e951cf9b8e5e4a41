"""The meaning of a policy, in plain Python. The compiler is checked against this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xdpctl.policy.frame import Headers, Layer, parse
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


@dataclass(frozen=True, slots=True)
class _Key:
    """How deep a key makes the policy look, and its value in a frame (None: not there)."""

    layer: Layer
    value: Callable[[Headers], int | None]


def _if_ip(version: int, value: Callable[[Headers], int | None]) -> _Key:
    return _Key(Layer.IP, lambda frame: value(frame) if frame.version == version else None)


def _if_l4(protocol: int, value: Callable[[Headers], int | None]) -> _Key:
    return _Key(Layer.WHOLE, lambda frame: value(frame) if frame.l4 == protocol else None)


_KEYS: Final = {
    "ether.type": _Key(Layer.ETHERNET, lambda frame: frame.ether_type),
    "meta.l3_proto": _Key(Layer.IP, lambda frame: frame.ether_type),
    "meta.l4_proto": _Key(Layer.IP, lambda frame: frame.protocol),
    "ip4.saddr": _if_ip(4, lambda frame: frame.saddr),
    "ip4.daddr": _if_ip(4, lambda frame: frame.daddr),
    "ip4.proto": _if_ip(4, lambda frame: frame.protocol),
    "ip6.saddr": _if_ip(6, lambda frame: frame.saddr),
    "ip6.daddr": _if_ip(6, lambda frame: frame.daddr),
    "tcp.sport": _if_l4(6, lambda frame: frame.sport),
    "tcp.dport": _if_l4(6, lambda frame: frame.dport),
    "udp.sport": _if_l4(17, lambda frame: frame.sport),
    "udp.dport": _if_l4(17, lambda frame: frame.dport),
    "icmp.type": _if_l4(1, lambda frame: frame.icmp_type),
    "icmp.code": _if_l4(1, lambda frame: frame.icmp_code),
    "icmpv6.type": _if_l4(58, lambda frame: frame.icmp_type),
    "icmpv6.code": _if_l4(58, lambda frame: frame.icmp_code),
}


def evaluate(policy: Policy, frame: bytes) -> Decision:
    """Decide on one frame, given from its Ethernet header on with all its VLAN tags."""
    headers = parse(frame)
    keys = [condition.key for rule in policy.rules for condition in rule.conditions]
    needed = max((_KEYS[key].layer for key in keys), default=Layer.NOTHING)
    if headers.parsed < needed:
        malformed = len(policy.rules) + 1
        return Decision(policy.default, malformed, (malformed,))
    counted: list[int] = []
    for index, rule in enumerate(policy.rules):
        if all(holds(condition, headers) for condition in rule.conditions):
            counted.append(index)
            if rule.action != "count":
                return Decision(rule.action, index, tuple(counted))
    default = len(policy.rules)
    return Decision(policy.default, default, (*counted, default))


def holds(condition: Condition, headers: Headers) -> bool:
    """Whether the key's protocol is there and its value is as the condition wants it."""
    value = _KEYS[condition.key].value(headers)
    if value is None:
        return False
    inside = any(value in interval for interval in condition.intervals)
    return inside != condition.negated
