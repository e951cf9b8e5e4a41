"""Frames byte by byte: small builders that say nothing is right that the test does not want so."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

IP4, ARP, IP6 = 0x0800, 0x0806, 0x86DD
HOP, TCP, UDP, ROUTING, FRAGMENT, ESP, AH, ICMPV6, NONE, DESTINATION, SCTP, ICMP = (
    0, 6, 17, 43, 44, 50, 51, 58, 59, 60, 132, 1,
)  # fmt: skip


def ethernet(
    kind: int,
    payload: bytes = b"",
    tags: Sequence[int] = (),
    *,
    control: Sequence[int] = (7, 7, 7),
    saddr: int = 0x020000000002,
    daddr: int = 0x020000000001,
) -> bytes:
    """An Ethernet frame; `tags` are the types of its VLAN tags, outermost first, `control` what is
    in each: priority << 13 | id.
    """
    addresses = daddr.to_bytes(6, "big") + saddr.to_bytes(6, "big")
    chain = b"".join(struct.pack("!HH", *tag) for tag in zip(tags, control, strict=False))
    return addresses + chain + struct.pack("!H", kind) + payload


def ip4(
    protocol: int,
    payload: bytes = b"",
    *,
    saddr: str | int = "192.0.2.1",
    daddr: str | int = "198.51.100.1",
    options: bytes = b"",
    offset: int = 0,
    more: bool = False,
    version: int = 4,
    words: int | None = None,
    service: int = 0,
    ttl: int = 64,
) -> bytes:
    """An IPv4 packet; `words` is the IHL if it is to be wrong, `offset` that of a fragment,
    `service` the byte of DSCP and ECN.
    """
    ihl = 5 + len(options) // 4 if words is None else words
    total = 20 + len(options) + len(payload)
    return (
        struct.pack(
            "!BBHHHBBHII", version << 4 | ihl, service, total & 0xFFFF, 1, offset | more << 13, ttl,
            protocol, 0, int(ipaddress.IPv4Address(saddr)), int(ipaddress.IPv4Address(daddr)),
        )
        + options
        + payload
    )  # fmt: skip


def ip6(
    protocol: int,
    payload: bytes = b"",
    *,
    saddr: str | int = "2001:db8::1",
    daddr: str | int = "2001:db8::2",
    extensions: Sequence[tuple[int, bytes]] = (),
    version: int = 6,
    service: int = 0,
    label: int = 0,
    hops: int = 64,
) -> bytes:
    """An IPv6 packet; an extension is its number and its bytes behind the next-header byte."""
    first = version << 28 | service << 20 | label
    numbers = [*(number for number, _ in extensions), protocol]
    chain = b"".join(
        bytes([following]) + body
        for (_, body), following in zip(extensions, numbers[1:], strict=True)
    )
    return (
        struct.pack("!IHBB", first, (len(chain) + len(payload)) & 0xFFFF, numbers[0], hops)
        + ipaddress.IPv6Address(saddr).packed
        + ipaddress.IPv6Address(daddr).packed
        + chain
        + payload
    )


def option(number: int, units: int = 0) -> tuple[int, bytes]:
    """A hop-by-hop, routing or destination header of 8 · (units + 1) bytes."""
    return number, bytes([units]) + bytes(6 + 8 * units)


def ah(units: int = 1) -> tuple[int, bytes]:
    """An authentication header of 4 · (units + 2) bytes."""
    return AH, bytes([units]) + bytes(6 + 4 * units)


def fragment(offset: int = 0, *, more: bool = True) -> tuple[int, bytes]:
    """A fragment header; `offset` in units of 8 bytes."""
    return FRAGMENT, struct.pack("!BHI", 0, offset << 3 | more, 1)


def tcp(sport: int = 51000, dport: int = 443, flags: int = 2) -> bytes:
    """A TCP header."""
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, flags, 1024, 0, 0)


def udp(sport: int = 51000, dport: int = 53) -> bytes:
    """A UDP header."""
    return struct.pack("!HHHH", sport, dport, 8, 0)


def sctp(sport: int = 51000, dport: int = 5000) -> bytes:
    """An SCTP common header."""
    return struct.pack("!HHII", sport, dport, 1, 0)


def icmp(kind: int = 8, code: int = 0) -> bytes:
    """An ICMP or ICMPv6 header."""
    return struct.pack("!BBHHH", kind, code, 0, 1, 1)


def arp(
    operation: int = 1,
    spa: str | int = 0,
    tpa: str | int = 0,
    *,
    kind: tuple[int, int, int, int] = (1, 0x0800, 6, 4),
) -> bytes:
    """An ARP packet; `kind` is hardware, protocol, and the sizes of their addresses."""
    addresses = (
        bytes.fromhex("020000000002")
        + ipaddress.IPv4Address(spa).packed
        + bytes(6)
        + ipaddress.IPv4Address(tpa).packed
    )
    return struct.pack("!HHBBH", *kind, operation) + addresses
