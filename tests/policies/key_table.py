"""For each key the frames to try its values on.

A row (rows.py) serves every key whose values look alike; a carrier makes a frame that has the key's
field, strangers are frames of another protocol, on which no condition on the key may hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.policies.frames import (
    AH,
    ARP,
    DESTINATION,
    ESP,
    HOP,
    ICMP,
    ICMPV6,
    IP4,
    IP6,
    ROUTING,
    SCTP,
    TCP,
    UDP,
    ah,
    arp,
    ethernet,
    fragment,
    icmp,
    ip4,
    ip6,
    option,
    sctp,
    tcp,
    udp,
)  # fmt: skip
from tests.policies.rows import (
    ADDRESS4,
    ADDRESS6,
    BYTE,
    DSCP,
    ETHER,
    FLAGS,
    FRAGMENT,
    GROUP,
    LENGTH,
    MAC,
    NETWORK,
    NEXT_HEADER,
    OPERATION,
    PORT,
    PRIORITY,
    PROTOCOL,
    VLAN_ID,
    Row,
    named,
    with_sets,
)
from xdpctl.topology.form import Form
from xdpctl.topology.key_addresses import Address, Mac
from xdpctl.topology.key_forms import Flags, Number, Percent, Word
from xdpctl.topology.keys import KEYS
from xdpctl.topology.set_types import MEMBERS


@dataclass(frozen=True)
class Subject:
    """A key with the frames to try it on."""

    rows: tuple[Row, ...]
    carriers: tuple[Callable[[int], bytes], ...]
    strangers: tuple[bytes, ...]


def _over_ip4(protocol: int, header: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda number: ethernet(IP4, ip4(protocol, header(number), options=bytes(8)))


def _over_ip6(protocol: int, header: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda number: ethernet(IP6, ip6(protocol, header(number)))


def _chained(protocol: int, header: Callable[[int], bytes]) -> Callable[[int], bytes]:
    chain = [fragment(), option(ROUTING, 1), ah(), option(HOP), option(DESTINATION)]
    return lambda number: ethernet(IP6, ip6(protocol, header(number), extensions=chain))


def _tagged(protocol: int, header: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda number: ethernet(IP4, ip4(protocol, header(number)), (0x88A8, 0x8100))


def _l4(rows: tuple[Row, ...], protocol: int, header: Callable[[int], bytes]) -> Subject:
    ways = {ICMP: (_over_ip4, _tagged), ICMPV6: (_over_ip6, _chained)}
    made = ways.get(protocol, (_over_ip4, _over_ip6, _chained, _tagged))
    return Subject(rows, tuple(way(protocol, header) for way in made), _not_l4(protocol))


def _not_l4(protocol: int) -> tuple[bytes, ...]:
    """Frames without a header of this protocol; some have the bytes of one, all ports of rows."""
    headers = {TCP: tcp(443, 443), UDP: udp(443, 443), SCTP: sctp(443, 443)}
    others = [
        ethernet(version, packet(number, header))
        for number, header in headers.items()
        if number != protocol
        for version, packet in ((IP4, ip4), (IP6, ip6))
    ]
    if protocol != ICMP:
        others.append(ethernet(IP4, ip4(ICMP, icmp(3, 3))))
    if protocol != ICMPV6:
        others.append(ethernet(IP6, ip6(ICMPV6, icmp(3, 3))))
    body = headers.get(protocol, icmp(3, 3))
    return (
        *others,
        ethernet(ARP, arp()),
        ethernet(0x88CC, bytes(60)),
        ethernet(IP4, ip4(protocol, body, offset=1)),
        ethernet(IP4, ip4(ESP, body)),
        ethernet(IP4, ip4(AH, body)),
        ethernet(IP6, ip6(protocol, body, extensions=[fragment(1)])),
        ethernet(IP6, ip6(ESP, body)),
        ethernet(IP4, ip4(ICMPV6, icmp(3, 3))),
        ethernet(IP6, ip6(ICMP, icmp(3, 3))),
        ethernet(IP4, ip4(protocol, body), (0x8100, 0x8100, 0x8100)),
    )


_NO_IP = (ethernet(ARP, arp()), ethernet(0x88CC, bytes(60)), ethernet(0, bytes(60)))
_SOME_IP6 = (ethernet(IP6, ip6(TCP, tcp())), ethernet(IP6, ip6(UDP, udp(), extensions=[ah()])))
_SOME_IP4 = (ethernet(IP4, ip4(TCP, tcp())), ethernet(IP4, ip4(UDP, udp(), saddr="10.0.0.1")))


def _typed(number: int) -> bytes:
    """A frame of any type that is well formed as that type."""
    bodies = {IP4: ip4(TCP, tcp()), IP6: ip6(TCP, tcp())}
    return ethernet(number, bodies.get(number, bytes(46)))


def _in_vlan(index: int, bits: int, shift: int) -> Callable[[int], bytes]:
    """A frame whose tag of that number holds the number; the first beyond the field is no tag."""

    def made(number: int) -> bytes:
        if number == 1 << bits:
            return ethernet(IP4, ip4(TCP, tcp()), (0x8100,) * index)
        control = [0x1FFF ^ number << shift] * 2
        control[index] = number << shift | ~(((1 << bits) - 1) << shift) & 0xA5A5
        return ethernet(IP4, ip4(TCP, tcp()), (0x88A8, 0x8100)[: index + 1], control=control)

    return made


def _in_qinq(bits: int, shift: int) -> Callable[[int], bytes]:
    """The same in the outer of two tags; a third is none."""

    def made(number: int) -> bytes:
        if number == 1 << bits:
            return ethernet(ARP, arp())
        body = ethernet(IP4, bytes(20), (0x8100, 0x8100), control=(11, 12))[12:]
        return ethernet(0x88A8, (number << shift).to_bytes(2, "big") + body)

    return made


def _piece4(number: int) -> bytes:
    """An IPv4 packet in one piece, a first or a later fragment."""
    offset, more = {1: (0, False), 2: (0, True), 3: (5, True)}[number]
    return ethernet(IP4, ip4(UDP, udp(), offset=offset, more=more))


def _last4(number: int) -> bytes:
    """The same, but that the later fragment is the last."""
    offset, more = {1: (0, False), 2: (0, True), 3: (0x1FFF, False)}[number]
    return ethernet(IP4, ip4(UDP, udp(), offset=offset, more=more, options=bytes(4)))


def _piece6(number: int) -> bytes:
    """An IPv6 packet without a fragment header, a first or a later fragment."""
    chain = {1: [], 2: [fragment(0)], 3: [fragment(8191, more=False)]}[number]
    return ethernet(IP6, ip6(UDP, udp(), extensions=chain))


def _atomic6(number: int) -> bytes:
    """The same, the packet in one piece having a fragment header, too."""
    last = {1: fragment(0, more=False), 2: fragment(0), 3: fragment(1)}[number]
    chain = [option(HOP), fragment(0, more=False), last, option(DESTINATION)]
    return ethernet(IP6, ip6(UDP, udp(), extensions=chain))


_FILLER = 250  # a protocol that no row has


def _chain_of(number: int) -> bytes:
    """An IPv6 frame whose chain has this number and the filler, or it alone."""
    if number in EXTENSION_BODIES:
        return ethernet(IP6, ip6(_FILLER, extensions=[EXTENSION_BODIES[number]]))
    return ethernet(IP6, ip6(number, bytes(40)))


def _twice(number: int) -> bytes:
    """The number twice, where it may be."""
    if number in EXTENSION_BODIES:
        return ethernet(IP6, ip6(_FILLER, extensions=[EXTENSION_BODIES[number]] * 2))
    return ethernet(IP6, ip6(number, bytes(40)), (0x8100,))


EXTENSION_BODIES = {
    HOP: option(HOP), ROUTING: option(ROUTING, 2), DESTINATION: option(DESTINATION), AH: ah(),
    44: fragment(),
}  # fmt: skip


def _any_port(rows: tuple[Row, ...], *, source: bool) -> Subject:
    ports = ("sport", "dport")[not source]
    headers: dict[int, Callable[..., bytes]] = {TCP: tcp, UDP: udp, SCTP: sctp}

    def carrier(
        way: Callable[[int, Callable[[int], bytes]], Callable[[int], bytes]], protocol: int
    ) -> Callable[[int], bytes]:
        return way(protocol, lambda number: headers[protocol](**{ports: number}))

    carriers = [carrier(way, protocol) for protocol in headers for way in (_over_ip4, _chained)]
    strangers = [
        *_NO_IP,
        ethernet(IP4, ip4(ICMP, icmp(3, 3))),
        ethernet(IP6, ip6(ICMPV6, icmp(3, 3))),
        ethernet(IP4, ip4(UDP, udp(443, 443), offset=1)),
        ethernet(IP6, ip6(TCP, tcp(443, 443), extensions=[fragment(1)])),
        ethernet(IP4, ip4(33, udp(443, 443))),
    ]
    return Subject(rows, tuple(carriers), tuple(strangers))


_UNTAGGED = (ethernet(IP4, ip4(TCP, tcp())), ethernet(ARP, arp()))
_NOT_ARP = (
    ethernet(IP4, ip4(TCP, tcp(1, 2))),
    ethernet(0x88CC, arp()),
    ethernet(ARP, arp(kind=(6, 0x0800, 6, 4))),
    ethernet(ARP, arp(kind=(1, 0x86DD, 6, 16))),
    ethernet(ARP, arp(kind=(1, 0x0800, 8, 4))),
    ethernet(ARP, arp(kind=(1, 0x0800, 6, 16))),
    ethernet(ARP, bytes(8)),
)


def _arp_ways(made: Callable[[int], bytes]) -> tuple[Callable[[int], bytes], ...]:
    return (
        lambda n: ethernet(ARP, made(n)),
        lambda n: ethernet(ARP, made(n) + bytes(18), (0x8100,)),
    )


SUBJECTS = {
    "ether.saddr": Subject(
        MAC,
        (lambda n: ethernet(IP4, ip4(TCP, tcp()), saddr=n),
         lambda n: ethernet(0x0000, b"", (0x8100,), saddr=n),
         lambda n: ethernet(0xFFFF, b"", saddr=n, daddr=(1 << 48) - 1)),
        (),
    ),
    "ether.daddr": Subject(
        (*MAC, *GROUP),
        (lambda n: ethernet(IP6, ip6(TCP, tcp()), daddr=n),
         lambda n: ethernet(0xFFFF, b"", saddr=(1 << 48) - 1, daddr=n)),
        (),
    ),
    "vlan.id": Subject(VLAN_ID, (_in_vlan(0, 12, 0), _in_qinq(12, 0)), _UNTAGGED),
    "vlan.pcp": Subject(PRIORITY, (_in_vlan(0, 3, 13), _in_qinq(3, 13)), _UNTAGGED),
    "vlan.inner_id": Subject(
        VLAN_ID, (_in_vlan(1, 12, 0),), (*_UNTAGGED, ethernet(IP4, ip4(TCP, tcp()), (0x8100,)))
    ),
    "meta.sport": _any_port(PORT, source=True),
    "meta.dport": _any_port(PORT, source=False),
    "meta.length": Subject(
        LENGTH,
        (lambda n: ethernet(0x88CC, bytes(n - 14)),
         lambda n: ethernet(0x88CC, bytes(n - 22), (0x88A8, 0x8100))),
        (),
    ),
    "ip4.dscp": Subject(
        DSCP,
        (lambda n: ethernet(IP4, ip4(UDP, udp(), service=n << 2)),
         lambda n: ethernet(IP4, ip4(UDP, b"", service=n << 2 | 3, offset=1))),
        (*_NO_IP, ethernet(IP6, ip6(UDP, udp(), service=46 << 2))),
    ),
    "ip6.dscp": Subject(
        DSCP,
        (lambda n: ethernet(IP6, ip6(UDP, udp(), service=n << 2)),
         lambda n: ethernet(IP6, ip6(UDP, udp(), service=n << 2 | 3, label=0xFFFFF,
                                     extensions=[option(HOP)]))),
        (*_NO_IP, ethernet(IP4, ip4(UDP, udp(), service=46 << 2))),
    ),
    "ip4.ttl": Subject(
        BYTE, (lambda n: ethernet(IP4, ip4(UDP, udp(), ttl=n)),),
        (*_NO_IP, ethernet(IP6, ip6(UDP, udp(), hops=3))),
    ),
    "ip6.hoplimit": Subject(
        BYTE,
        (lambda n: ethernet(IP6, ip6(UDP, udp(), hops=n)),
         lambda n: ethernet(IP6, ip6(UDP, udp(), hops=n, extensions=[fragment(1)]))),
        (*_NO_IP, ethernet(IP4, ip4(UDP, udp(), ttl=3))),
    ),
    "ip4.frag": Subject(
        FRAGMENT, (_piece4, _last4), (*_NO_IP, *(_piece6(n) for n in (1, 2, 3)))
    ),
    "ip6.frag": Subject(
        FRAGMENT, (_piece6, _atomic6), (*_NO_IP, *(_piece4(n) for n in (1, 2, 3)))
    ),
    "ip6.nexthdr": Subject(
        NEXT_HEADER, (_chain_of, _twice), (*_NO_IP, *_SOME_IP4, ethernet(IP4, ip4(0)))
    ),
    "arp.op": Subject(OPERATION, _arp_ways(lambda n: arp(n)), _NOT_ARP),
    "arp.spa": Subject(ADDRESS4, _arp_ways(lambda n: arp(2, spa=n, tpa="9.9.9.9")), _NOT_ARP),
    "arp.tpa": Subject(ADDRESS4, _arp_ways(lambda n: arp(1, spa="9.9.9.9", tpa=n)), _NOT_ARP),
    "ether.type": Subject(ETHER, (_typed,), ()),
    "meta.l3_proto": Subject(NETWORK, (_typed,), ()),
    "meta.l4_proto": Subject(
        PROTOCOL,
        (lambda n: ethernet(IP4, ip4(n, bytes(20))),
         lambda n: ethernet(IP4, ip4(n, b"", offset=7)),
         lambda n: ethernet(IP6, ip6(n, bytes(20), extensions=[fragment(3)]))),
        _NO_IP,
    ),
    "ip4.saddr": Subject(
        ADDRESS4, (lambda n: ethernet(IP4, ip4(UDP, udp(), saddr=n)),), (*_NO_IP, *_SOME_IP6)
    ),
    "ip4.daddr": Subject(
        ADDRESS4,
        (lambda n: ethernet(IP4, ip4(UDP, udp(), daddr=n)),
         lambda n: ethernet(IP4, ip4(UDP, b"", daddr=n, offset=9))),
        (*_NO_IP, *_SOME_IP6),
    ),
    "ip4.proto": Subject(
        PROTOCOL, (lambda n: ethernet(IP4, ip4(n, bytes(20))),), (*_NO_IP, *_SOME_IP6)
    ),
    "ip6.saddr": Subject(
        ADDRESS6,
        (lambda n: ethernet(IP6, ip6(UDP, udp(), saddr=n)),
         lambda n: ethernet(IP6, ip6(UDP, udp(), saddr=n, extensions=[option(HOP)]))),
        (*_NO_IP, *_SOME_IP4),
    ),
    "ip6.daddr": Subject(
        ADDRESS6, (lambda n: ethernet(IP6, ip6(UDP, udp(), daddr=n)),), (*_NO_IP, *_SOME_IP4)
    ),
    "tcp.sport": _l4(PORT, TCP, lambda n: tcp(sport=n)),
    "tcp.dport": _l4(PORT, TCP, lambda n: tcp(dport=n)),
    "udp.sport": _l4(PORT, UDP, lambda n: udp(sport=n)),
    "udp.dport": _l4(PORT, UDP, lambda n: udp(dport=n)),
    "sctp.sport": _l4(PORT, SCTP, lambda n: sctp(sport=n)),
    "sctp.dport": _l4(PORT, SCTP, lambda n: sctp(dport=n)),
    "tcp.flags": _l4(FLAGS, TCP, lambda n: tcp(flags=n)),
    "icmp.type": _l4((*BYTE, named("echo-request", 8)), ICMP, lambda n: icmp(n, 77)),
    "icmp.code": _l4((*BYTE, named("port-unreachable", 3)), ICMP, lambda n: icmp(77, n)),
    "icmpv6.type": _l4((*BYTE, named("echo-request", 128)), ICMPV6, lambda n: icmp(n, 77)),
    "icmpv6.code": _l4((*BYTE, named("port-unreachable", 4)), ICMPV6, lambda n: icmp(77, n)),
}  # fmt: skip

for _key in (key for members in MEMBERS.values() for key in members):
    SUBJECTS[_key] = replace(SUBJECTS[_key], rows=with_sets(SUBJECTS[_key].rows))

APART = {"meta.probability", "meta.flow_probability", "meta.port"}
"""Keys whose number no frame carries; tests of their own."""

OPERATORS: dict[type[Form], tuple[str, ...]] = {
    Number: ("value", "range", "list"),
    Word: ("name", "list"),
    Address: ("value", "prefix", "range", "list"),
    Mac: ("value", "prefix", "mask", "range", "list"),
    Flags: ("value", "exact", "any", "all", "list"),
    Percent: ("value",),
}
"""The ways to write a value, by its form; keys that have names have "name", too."""


def operators(key: str) -> set[str]:
    """All ways to write a value of this key."""
    form = KEYS[key].form
    found = {*OPERATORS.get(type(form), ())}
    if isinstance(form, Number | Mac) and set(form.names) - {"none"}:
        found.add("name")
    if any(key in members for members in MEMBERS.values()):
        found.add("set")
    return found | ({"none"} if isinstance(form, Number) and form.none else set())
