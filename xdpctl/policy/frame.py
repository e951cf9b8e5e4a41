"""What is in a frame: the parse of headers in plain Python, which defines the compiled one.

    Ethernet  14 bytes, then at most two VLAN tags of type 0x8100 or 0x88a8; a third is no tag any
              more but the frame's type
    ARP       8 bytes, and 28 if it is about Ethernet and IPv4 addresses
    IPv4      version 4, at least 5 words of header, all of them in the frame
    IPv6      version 6, 40 bytes, then hop-by-hop options, routing, destination options, AH and
              fragment headers in any order, each wholly in the frame, at most 8 of them
    fragment  a later one (offset not 0) has a protocol but no L4 header; in IPv6 the chain ends
              (an IPv6 packet in one piece is no fragment, though it may have a fragment header)
    L4        TCP 20 bytes, UDP 8, SCTP 12; ICMP 8 over IPv4; ICMPv6 8 over IPv6; what is any other
              protocol has no L4 header

What breaks one of these is malformed from that layer on; ARP is of layer 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from xdpctl.record import record


class Layer(IntEnum):
    """How deep a frame parsed well; WHOLE also where a frame has no more layers than it shows."""

    NOTHING = 0
    ETHERNET = 1
    IP = 2
    WHOLE = 3


@dataclass(slots=True)
class Headers:
    """The fields of a frame; None is what it does not have, or what could not be parsed.

    `port` is no part of it: the caller says by which device it came in.
    `l4` is the protocol if its header is there, `protocol` is known without (later fragments).
    `tags` are the VLAN tags' control information, the outer one first; `chain` the numbers of all
    headers behind an IPv6 header, as far as they are known.
    """

    length: int = 0
    port: str | None = None
    parsed: Layer = Layer.NOTHING
    destination: int | None = None
    source: int | None = None
    tags: tuple[int, ...] = ()
    ether_type: int | None = None
    arp: Arp | None = None
    dscp: int | None = None
    hops: int | None = None
    fragment: Fragment | None = None
    chain: tuple[int, ...] = ()
    version: int | None = None
    saddr: int | None = None
    daddr: int | None = None
    protocol: int | None = None
    l4: int | None = None
    sport: int | None = None
    dport: int | None = None
    flags: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class Fragment(IntEnum):
    """Which part of an IP packet a frame carries; numbers as a policy's conditions have them."""

    NONE = 1
    FIRST = 2
    LATER = 3


@record
class Arp:
    """An ARP packet about Ethernet and IPv4 addresses."""

    operation: int
    sender: int
    target: int


class _Malformed(Exception):  # noqa: N818 (a signal within this module)
    """A header is not as it must be; what was parsed before it stands."""


def parse(frame: bytes) -> Headers:
    """Parse as deep as the frame is well formed."""
    headers = Headers(length=len(frame))
    try:
        packet = _ethernet(headers, frame)
        headers.parsed = Layer.ETHERNET
        segment = _network(headers, packet)
        headers.parsed = Layer.IP
        _transport(headers, segment)
        headers.parsed = Layer.WHOLE
    except _Malformed:
        pass
    return headers


def _take(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise _Malformed
    return data[:length], data[length:]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _ethernet(headers: Headers, frame: bytes) -> bytes:
    header, rest = _take(frame, 14)
    headers.destination, headers.source = _number(header[:6]), _number(header[6:12])
    ether_type = _number(header[12:])
    for _ in range(2):
        if ether_type not in (0x8100, 0x88A8):
            break
        tag, rest = _take(rest, 4)
        headers.tags += (_number(tag[:2]),)
        ether_type = _number(tag[2:])
    headers.ether_type = ether_type
    return rest


def _network(headers: Headers, packet: bytes) -> bytes | None:
    """Parse IPv4 or IPv6; what follows is None where no header of layer 3 can."""
    if headers.ether_type == 0x0800:
        return _ip4(headers, packet)
    if headers.ether_type == 0x86DD:
        return _ip6(headers, packet)
    return packet if headers.ether_type == 0x0806 else None


def _ip4(headers: Headers, packet: bytes) -> bytes | None:
    header, _ = _take(packet, 20)
    words = header[0] & 0x0F
    if header[0] >> 4 != 4 or words < 5:
        raise _Malformed
    _, payload = _take(packet, 4 * words)
    headers.version = 4
    headers.saddr, headers.daddr = _number(header[12:16]), _number(header[16:20])
    headers.dscp, headers.hops, headers.protocol = header[1] >> 2, header[8], header[9]
    place = _number(header[6:8])
    headers.fragment = _fragment(place & 0x1FFF, more=bool(place & 0x2000))
    return None if headers.fragment is Fragment.LATER else payload


def _fragment(offset: int, *, more: bool) -> Fragment:
    if offset:
        return Fragment.LATER
    return Fragment.FIRST if more else Fragment.NONE


def _ip6(headers: Headers, packet: bytes) -> bytes | None:
    header, rest = _take(packet, 40)
    if header[0] >> 4 != 6:
        raise _Malformed
    following, chained = header[6], 0
    headers.chain, headers.fragment = (following,), Fragment.NONE
    while following in (0, 43, 44, 51, 60):
        chained += 1
        if chained > 8:
            raise _Malformed
        extension, _ = _take(rest, 8)
        if following == 44:
            length = 8
        elif following == 51:
            length = 4 * (extension[1] + 2)
        else:
            length = 8 * (extension[1] + 1)
        headers.chain += (extension[0],)
        if following == 44:
            place = _number(extension[2:4])
            found = _fragment(place >> 3, more=bool(place & 1))
            headers.fragment = max(headers.fragment, found)
            if found is Fragment.LATER:
                _fill_ip6(headers, header, extension[0])
                return None
        _, rest = _take(rest, length)
        following = extension[0]
    _fill_ip6(headers, header, following)
    return rest


def _fill_ip6(headers: Headers, header: bytes, protocol: int) -> None:
    headers.version = 6
    headers.saddr, headers.daddr = _number(header[8:24]), _number(header[24:40])
    headers.dscp, headers.hops = _number(header[:2]) >> 6 & 0x3F, header[7]
    headers.protocol = protocol


def _arp(headers: Headers, packet: bytes) -> None:
    header, _ = _take(packet, 8)
    if header[:6] == bytes.fromhex("0001 0800 06 04"):
        whole, _ = _take(packet, 28)
        headers.arp = Arp(_number(whole[6:8]), _number(whole[14:18]), _number(whole[24:28]))


def _transport(headers: Headers, segment: bytes | None) -> None:
    if segment is None:
        return
    if headers.version is None:
        _arp(headers, segment)
        return
    match headers.version, headers.protocol:
        case _, 6:
            header, _ = _take(segment, 20)
            headers.flags = header[13]
        case _, 17:
            header, _ = _take(segment, 8)
        case _, 132:
            header, _ = _take(segment, 12)
        case (4, 1) | (6, 58):
            header, _ = _take(segment, 8)
            headers.icmp_type, headers.icmp_code = header[0], header[1]
            headers.l4 = headers.protocol
            return
        case _:
            return
    headers.sport, headers.dport = _number(header[:2]), _number(header[2:4])
    headers.l4 = headers.protocol
