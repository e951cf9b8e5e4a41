"""The match keys as the compiler sees them: which field of the record, behind which guard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ETHERTYPE_IP4: Final = 0x0800
ETHERTYPE_IP6: Final = 0x86DD
TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132


@dataclass(frozen=True, slots=True)
class Field:
    """What a key compiles to.

    layer   how deep the frame must parse: 1 Ethernet, 2 IP, 3 TCP and its like
    field   the record's field; of a 128-bit value the common part of its two halves' names
    bits    width of the value
    guard   (record field, number) that must hold for the protocol to be there
    """

    layer: int
    field: str
    bits: int
    guard: tuple[str, int] | None = None


_IP4 = ("ether.type", ETHERTYPE_IP4)
_IP6 = ("ether.type", ETHERTYPE_IP6)

FIELDS: Final = {
    "ether.type": Field(1, "ether.type", 16),
    "meta.l3_proto": Field(2, "ether.type", 16),
    "meta.l4_proto": Field(2, "l4_proto", 8),
    "ip4.saddr": Field(2, "ip4.saddr", 32, _IP4),
    "ip4.daddr": Field(2, "ip4.daddr", 32, _IP4),
    "ip4.proto": Field(2, "l4_proto", 8, _IP4),
    "ip6.saddr": Field(2, "ip6.saddr", 128, _IP6),
    "ip6.daddr": Field(2, "ip6.daddr", 128, _IP6),
    "tcp.sport": Field(3, "sport", 16, ("l4", TCP)),
    "tcp.dport": Field(3, "dport", 16, ("l4", TCP)),
    "udp.sport": Field(3, "sport", 16, ("l4", UDP)),
    "udp.dport": Field(3, "dport", 16, ("l4", UDP)),
    "icmp.type": Field(3, "icmp.type", 8, ("l4", ICMP)),
    "icmp.code": Field(3, "icmp.code", 8, ("l4", ICMP)),
    "icmpv6.type": Field(3, "icmp.type", 8, ("l4", ICMPV6)),
    "icmpv6.code": Field(3, "icmp.code", 8, ("l4", ICMPV6)),
}


def record_fields(key: str) -> tuple[str, ...]:
    """The record's fields that a condition on `key` reads."""
    row = FIELDS[key]
    fields = (f"{row.field}.high", f"{row.field}.low") if row.bits == 128 else (row.field,)
    return fields if row.guard is None else (row.guard[0], *fields)
