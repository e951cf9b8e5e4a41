"""The frames that are sent, and where the sender writes what differs from one to the next."""

from __future__ import annotations

import socket
import struct
from typing import Final

from bench.workload import ADDRESS, Value
from xdpctl.bpf.asm import H, Size, W

LENGTH: Final = 60
"""Bytes of a frame: the smallest of Ethernet, without its checksum."""
SOURCE_AND_PORT: Final[tuple[tuple[int, Size], ...]] = ((26, W), (36, H))
"""Where a segment has the parts of a Value."""
DESTINATION: Final[tuple[tuple[int, Size], ...]] = ((0, W), (4, H))
"""Where a frame has the address that it goes to."""
SOURCE_MAC: Final = bytes.fromhex("020000000001")
SERVER: Final = "192.0.2.1"
CLIENT: Final = "203.0.113.9"
_TCP, _UDP = 6, 17
_SYN = 2


def packed(value: Value) -> bytes:
    """A value as it stands in the frame."""
    saddr, dport = value
    return saddr.to_bytes(4) + dport.to_bytes(2)


def segment(value: Value) -> bytes:
    """A TCP connection's first segment: nobody merges it with another (GRO)."""
    saddr, dport = value
    tcp = struct.pack("!HHIIBBHHH", 40000, dport, 1, 0, 5 << 4, _SYN, 1024, 0, 0)
    to = bytes.fromhex(ADDRESS.replace(":", ""))
    return _ethernet(to, _ip4(_TCP, saddr.to_bytes(4), socket.inet_aton(SERVER), tcp))


def datagram(
    to: bytes, dport: int, *, saddr: str = CLIENT, daddr: str = SERVER, payload: int = 18
) -> bytes:
    """A UDP datagram without a checksum (RFC 768 has 0 for that)."""
    udp = struct.pack("!HHHH", 40000, dport, 8 + payload, 0) + bytes(payload)
    return _ethernet(to, _ip4(_UDP, socket.inet_aton(saddr), socket.inet_aton(daddr), udp))


def _ethernet(to: bytes, packet: bytes) -> bytes:
    return (to + SOURCE_MAC + b"\x08\x00" + packet).ljust(LENGTH, b"\0")


def _ip4(protocol: int, saddr: bytes, daddr: bytes, payload: bytes) -> bytes:
    head = struct.Struct("!BBHHHBBH4s4s")
    fields = (0x45, 0, head.size + len(payload), 1, 0, 64, protocol)
    words = struct.unpack("!10H", head.pack(*fields, 0, saddr, daddr))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head.pack(*fields, total ^ 0xFFFF, saddr, daddr) + payload
