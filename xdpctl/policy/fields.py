"""The match keys as the compiler sees them: which field of the record, behind which guard."""

from __future__ import annotations

from typing import Final

from xdpctl.record import record

ETHERTYPE_IP4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IP6: Final = 0x86DD
TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
L4_ARP: Final = 0xFE
"""What the record's `l4` is where ARP for Ethernet and IPv4 is in the frame."""

EXTENSIONS: Final = {0: "hop-by-hop", 43: "routing", 44: "fragment", 51: "AH", 60: "destination"}
"""The IPv6 extension headers that the parse walks over."""
CHAIN_BITS: Final = {extension: 1 << index for index, extension in enumerate(EXTENSIONS)}
"""Extension header → its bit in the record's `ip6.chain`."""

RANDOM: Final = "random"
"""No field of the record: a number of 32 bits, drawn each time that it is asked for."""
FLOW: Final = "flow"
PORT: Final = "port"
FLOW_FIELDS: Final = frozenset(
    {
        "ether.type", "ip4.saddr", "ip4.daddr", "ip6.saddr.high", "ip6.saddr.low",
        "ip6.daddr.high", "ip6.daddr.low", "l4_proto", "l4", "frag", "sport", "dport",
    }
)  # fmt: skip
"""What the hash of a flow is made from."""


@record
class Field:
    """What a key compiles to.

    layer   how deep the frame must parse: 0 not at all, 1 Ethernet, 2 IP, 3 TCP and its like
    field   the record's field; of a 128-bit value the common part of its two halves' names
    bits    width of the value
    guard   (record field, numbers): one of them must be there for the protocol to be
    chain   the value may as well be that of an extension header, noted in `ip6.chain`
    """

    layer: int
    field: str
    bits: int
    guard: tuple[str, frozenset[int]] | None = None
    chain: bool = False


def _in(field: str, *numbers: int) -> tuple[str, frozenset[int]]:
    return field, frozenset(numbers)


_IP4 = _in("ether.type", ETHERTYPE_IP4)
_IP6 = _in("ether.type", ETHERTYPE_IP6)
_TCP, _UDP, _SCTP = _in("l4", TCP), _in("l4", UDP), _in("l4", SCTP)
_PORTS = _in("l4", TCP, UDP, SCTP)
_ICMP, _ICMPV6, _ARP = _in("l4", ICMP), _in("l4", ICMPV6), _in("l4", L4_ARP)

FIELDS: Final = {
    "ether.type": Field(1, "ether.type", 16),
    "ether.saddr": Field(1, "ether.saddr", 48),
    "ether.daddr": Field(1, "ether.daddr", 48),
    "vlan.id": Field(1, "vlan.id", 12),
    "vlan.pcp": Field(1, "vlan.pcp", 3),
    "vlan.inner_id": Field(1, "vlan.inner_id", 12),
    "meta.l3_proto": Field(2, "ether.type", 16),
    "meta.l4_proto": Field(2, "l4_proto", 8),
    "meta.sport": Field(3, "sport", 16, _PORTS),
    "meta.dport": Field(3, "dport", 16, _PORTS),
    "meta.port": Field(0, "port", 32),
    "meta.length": Field(0, "length", 32),
    "meta.probability": Field(0, RANDOM, 32),
    "meta.flow_probability": Field(3, FLOW, 32, _in("ether.type", ETHERTYPE_IP4, ETHERTYPE_IP6)),
    "ip4.saddr": Field(2, "ip4.saddr", 32, _IP4),
    "ip4.daddr": Field(2, "ip4.daddr", 32, _IP4),
    "ip4.proto": Field(2, "l4_proto", 8, _IP4),
    "ip4.dscp": Field(2, "dscp", 6, _IP4),
    "ip4.ttl": Field(2, "ttl", 8, _IP4),
    "ip4.frag": Field(2, "frag", 2, _IP4),
    "ip6.saddr": Field(2, "ip6.saddr", 128, _IP6),
    "ip6.daddr": Field(2, "ip6.daddr", 128, _IP6),
    "ip6.nexthdr": Field(2, "l4_proto", 8, _IP6, chain=True),
    "ip6.dscp": Field(2, "dscp", 6, _IP6),
    "ip6.hoplimit": Field(2, "ttl", 8, _IP6),
    "ip6.frag": Field(2, "frag", 2, _IP6),
    "tcp.sport": Field(3, "sport", 16, _TCP),
    "tcp.dport": Field(3, "dport", 16, _TCP),
    "tcp.flags": Field(3, "tcp.flags", 8, _TCP),
    "udp.sport": Field(3, "sport", 16, _UDP),
    "udp.dport": Field(3, "dport", 16, _UDP),
    "sctp.sport": Field(3, "sport", 16, _SCTP),
    "sctp.dport": Field(3, "dport", 16, _SCTP),
    "icmp.type": Field(3, "icmp.type", 8, _ICMP),
    "icmp.code": Field(3, "icmp.code", 8, _ICMP),
    "icmpv6.type": Field(3, "icmp.type", 8, _ICMPV6),
    "icmpv6.code": Field(3, "icmp.code", 8, _ICMPV6),
    "arp.op": Field(3, "sport", 16, _ARP),
    "arp.spa": Field(3, "ip4.saddr", 32, _ARP),
    "arp.tpa": Field(3, "ip4.daddr", 32, _ARP),
}


PRESENCE: Final = {"meta.l4_proto": _in("ether.type", ETHERTYPE_IP4, ETHERTYPE_IP6)}
"""Guards of keys whose field says by its number that it is not there: a set's entry cannot."""


def record_fields(key: str) -> frozenset[str]:
    """The record's fields that a condition on `key` reads, or that are made from."""
    row = FIELDS[key]
    fields: set[str] = set()
    if row.bits == 128:
        fields |= {f"{row.field}.high", f"{row.field}.low"}
    elif row.field != RANDOM:
        fields.add(row.field)
    if row.field == FLOW:
        fields |= FLOW_FIELDS
    fields |= {guard[0] for guard in (row.guard, PRESENCE.get(key)) if guard is not None}
    if row.chain:
        fields.add("ip6.chain")
    return frozenset(fields)
