"""For each key and each way to write its value: what is inside, outside and at the edges.

A row serves every key whose values look alike; a carrier makes a frame that has the key's field,
strangers are frames of another protocol, on which no condition on the key may hold.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

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
from xdpctl.topology.keys import KEYS, merged
from xdpctl.topology.model import Condition

Number = int | str
"""A value of a field; addresses as text."""


@dataclass(frozen=True)
class Row:
    """One way to write a value; `edges` are the numbers next to a border and whether they match."""

    operator: str
    raw: tuple[Number, ...]
    inside: tuple[Number, ...]
    outside: tuple[Number, ...]
    edges: dict[Number, bool]

    def condition(self, key: str, *, negated: bool) -> Condition:
        intervals = merged([KEYS[key].parse(raw) for raw in self.raw])
        return Condition(key, intervals, negated)


@dataclass(frozen=True)
class Subject:
    """A key with the frames to try it on."""

    rows: tuple[Row, ...]
    carriers: tuple[Callable[[int], bytes], ...]
    strangers: tuple[bytes, ...]


PORT = (
    Row("value", (443,), (443,), (80, 51000), {442: False, 443: True, 444: False}),
    Row("value", (0,), (0,), (80, 32768), {0: True, 1: False, 65535: False}),
    Row("value", ("65535",), (65535,), (80,), {65534: False, 65535: True, 0: False}),
    Row("range", ("8000-8100",), (8050,), (80, 60000),
        {7999: False, 8000: True, 8100: True, 8101: False}),
    Row("range", ("0-1023",), (80,), (51000,), {0: True, 1023: True, 1024: False, 65535: False}),
    Row("range", ("32768-65535",), (51000,), (80,), {32767: False, 32768: True, 65535: True}),
    Row("range", ("7-7",), (7,), (80,), {6: False, 7: True, 8: False}),
    Row("list", (80, 443, "8000-8100"), (80, 443, 8050), (81, 9000),
        {79: False, 7999: False, 8000: True, 8100: True, 8101: False}),
    Row("list", tuple(range(2, 120, 3)), (2, 62, 119 - 3), (3, 64, 200),
        {1: False, 2: True, 116: True, 117: False}),
    Row("list", tuple(range(0, 65536, 1024)), (0, 32768, 64512), (1, 32769, 64511),
        {0: True, 1023: False, 1024: True, 64512: True, 64513: False, 65535: False}),
    Row("name", ("https",), (443,), (80,), {442: False, 443: True, 444: False}),
)  # fmt: skip

BYTE = (
    Row("value", (3,), (3,), (8, 200), {2: False, 3: True, 4: False}),
    Row("value", (0,), (0,), (8, 128), {0: True, 1: False, 255: False}),
    Row("value", (255,), (255,), (8,), {254: False, 255: True, 0: False}),
    Row("range", ("3-12",), (8,), (128,), {2: False, 3: True, 12: True, 13: False}),
    Row("range", ("128-255",), (200,), (3,), {127: False, 128: True, 255: True}),
    Row("list", (0, 3, "8-12"), (0, 3, 9), (5, 200), {2: False, 4: False, 8: True, 13: False}),
    Row("list", tuple(range(1, 64, 4)), (1, 33), (2, 64), {0: False, 1: True, 61: True, 62: False}),
)


def named(name: str, number: int) -> Row:
    """A row for a name of an 8-bit field."""
    return Row("name", (name,), (number,), ((number + 100) % 256,),
               {number: True, number + 1: False})  # fmt: skip


PROTOCOL = (
    Row("value", (6,), (6,), (17, 47), {5: False, 6: True, 7: False}),
    Row("value", (0,), (0,), (17,), {0: True, 1: False, 255: False}),
    Row("value", (255,), (255,), (17,), {254: False, 255: True}),
    Row("range", ("6-17",), (6, 17), (1, 132), {5: False, 6: True, 17: True, 18: False}),
    Row("range", ("1-255",), (6, 200), (0,), {0: False, 1: True, 255: True}),
    Row("list", (1, 6, 17), (1, 6, 17), (0, 58, 132), {2: False, 5: False, 18: False, 17: True}),
    named("tcp", 6),
    named("esp", 50),
)

ETHER = (
    Row("value", ("0x88cc",), (0x88CC,), (0x0800,), {0x88CB: False, 0x88CC: True, 0x88CD: False}),
    Row("value", (0,), (0,), (0x0800,), {0: True, 1: False, 0xFFFF: False}),
    Row("value", ("0xffff",), (0xFFFF,), (0x0800,), {0xFFFE: False, 0xFFFF: True}),
    Row("range", ("0x0600-0xffff",), (0x0800, 0x86DD), (0x05DC,),
        {0x05FF: False, 0x0600: True, 0xFFFF: True}),
    Row("list", ("ip4", "arp"), (0x0800, 0x0806), (0x86DD,), {0x0801: False, 0x0806: True}),
    Row("name", ("arp",), (0x0806,), (0x0800,), {0x0805: False, 0x0806: True, 0x0807: False}),
)  # fmt: skip

NETWORK = (
    Row("name", ("ip4",), (0x0800,), (0x86DD, 0x0806), {0x07FF: False, 0x0800: True}),
    Row("name", ("ip6",), (0x86DD,), (0x0800, 0x0806), {0x86DD: True, 0x86DE: False}),
    Row("name", ("arp",), (0x0806,), (0x0800, 0x86DD), {0x0806: True, 0x0807: False}),
    Row("list", ("ip4", "ip6"), (0x0800, 0x86DD), (0x0806,), {0x0801: False, 0x86DD: True}),
)

ADDRESS4 = (
    Row("value", ("192.0.2.7",), ("192.0.2.7",), ("10.0.0.1",),
        {"192.0.2.6": False, "192.0.2.7": True, "192.0.2.8": False, "7.2.0.192": False}),
    Row("value", ("255.255.255.255",), ("255.255.255.255",), ("10.0.0.1",),
        {"255.255.255.254": False, "255.255.255.255": True}),
    Row("prefix", ("192.0.2.0/25",), ("192.0.2.64",), ("10.0.0.1",),
        {"192.0.1.255": False, "192.0.2.0": True, "192.0.2.127": True, "192.0.2.128": False}),
    Row("prefix", ("128.0.0.0/1",), ("192.0.2.64",), ("10.0.0.1",),
        {"127.255.255.255": False, "128.0.0.0": True, "255.255.255.255": True}),
    Row("prefix", ("192.0.2.7/32",), ("192.0.2.7",), ("10.0.0.1",),
        {"192.0.2.6": False, "192.0.2.7": True, "192.0.2.8": False}),
    Row("range", ("10.0.0.5-10.0.1.4",), ("10.0.0.255",), ("10.0.2.0",),
        {"10.0.0.4": False, "10.0.0.5": True, "10.0.1.4": True, "10.0.1.5": False}),
    Row("list", ("10.0.0.0/8", "192.0.2.7", "198.51.100.0/24"), ("10.1.2.3", "192.0.2.7"),
        ("203.0.113.1",), {"9.255.255.255": False, "10.0.0.0": True, "10.255.255.255": True,
                           "11.0.0.0": False, "198.51.100.255": True, "198.51.101.0": False}),
    Row("list", tuple(f"10.0.{n}.0/26" for n in range(40)), ("10.0.20.5",), ("10.0.20.65",),
        {"10.0.0.0": True, "10.0.39.63": True, "10.0.39.64": False, "9.255.255.255": False}),
)  # fmt: skip

ADDRESS6 = (
    Row("value", ("2001:db8::7",), ("2001:db8::7",), ("fe80::7", "2001:db8:0:1::7"),
        {"2001:db8::6": False, "2001:db8::7": True, "2001:db8::8": False}),
    Row("value", ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",), ("::",),
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe": False,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": True}),
    Row("prefix", ("2001:db8::/32",), ("2001:db8:1::1",), ("2001:db9::1", "::"),
        {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff": False, "2001:db8::": True,
         "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": True, "2001:db9::": False}),
    Row("prefix", ("2001:db8:0:1::/64",), ("2001:db8:0:1::9",), ("2001:db8:0:9::",),
        {"2001:db8::ffff:ffff:ffff:ffff": False, "2001:db8:0:1::": True,
         "2001:db8:0:1:ffff:ffff:ffff:ffff": True, "2001:db8:0:2::": False}),
    Row("prefix", ("2001:db8::/65",), ("2001:db8::1",), ("2001:db8:1::1",),
        {"2001:db8::7fff:ffff:ffff:ffff": True, "2001:db8::8000:0:0:0": False,
         "2001:db8::": True}),
    Row("prefix", ("2001:db8::2/127",), ("2001:db8::2",), ("::2",),
        {"2001:db8::1": False, "2001:db8::2": True, "2001:db8::3": True, "2001:db8::4": False}),
    Row("prefix", ("8000::/1",), ("fe80::1",), ("2001:db8::",),
        {"7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": False, "8000::": True}),
    Row("range", ("2001:db8::5-2001:db8:0:1::4",), ("2001:db8::ffff", "2001:db8:0:1::"),
        ("2001:db8:0:2::",),
        {"2001:db8::4": False, "2001:db8::5": True, "2001:db8:0:1::4": True,
         "2001:db8:0:1::5": False}),
    Row("range", ("2001:db8::5-2001:db8:0:9::4",), ("2001:db8:0:4::",), ("2001:db8:0:a::",),
        {"2001:db8::4": False, "2001:db8::5": True, "2001:db8:0:9::4": True,
         "2001:db8:0:9::5": False}),
    Row("list", ("2001:db8::/48", "fe80::/10", "ff02::1"), ("2001:db8::1", "fe80::1", "ff02::1"),
        ("ff02::2", "2001:db8:1::1"), {"febf:ffff::": True, "fec0::": False, "ff02::": False,
                                       "2001:db8:0:ffff::": True}),
    Row("list", tuple(f"2001:db8::{n:x}" for n in range(1, 100, 2)), ("2001:db8::1",),
        ("2001:db8::2", "2001:db8:0:1::1"), {"2001:db8::63": True, "2001:db8::64": False}),
)  # fmt: skip


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


SUBJECTS = {
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
    "icmp.type": _l4((*BYTE, named("echo-request", 8)), ICMP, lambda n: icmp(n, 77)),
    "icmp.code": _l4((*BYTE, named("port-unreachable", 3)), ICMP, lambda n: icmp(77, n)),
    "icmpv6.type": _l4((*BYTE, named("echo-request", 128)), ICMPV6, lambda n: icmp(n, 77)),
    "icmpv6.code": _l4((*BYTE, named("port-unreachable", 4)), ICMPV6, lambda n: icmp(77, n)),
}  # fmt: skip

OPERATORS = {
    "number": ("value", "range", "list"),
    "name": ("name", "list"),
    "ip4": ("value", "prefix", "range", "list"),
    "ip6": ("value", "prefix", "range", "list"),
}
"""The ways to write a value, by Key.form; keys that have names have "name", too."""


def operators(key: str) -> set[str]:
    """All ways to write a value of this key."""
    row = KEYS[key]
    return {*OPERATORS[row.form], *(("name",) if row.names else ())}


def number(value: Number) -> int:
    """A value as the field's number."""
    return value if isinstance(value, int) else int(ipaddress.ip_address(value))
