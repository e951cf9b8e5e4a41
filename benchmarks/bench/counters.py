"""What has been counted: in a program's per-CPU map, in a pipeline's, by nftables' counters."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

from xdpctl.bpf.maps import Map
from xdpctl.datapath import counter_map

_NETLINK_NETFILTER: Final = 12
_GET_OBJECT: Final = 10 << 8 | 19  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETOBJ
_REQUEST, _NETDEV, _COUNTER = 1, 5, 1
_TABLE, _NAME, _TYPE, _DATA = 1, 2, 3, 4  # NFTA_OBJ_*
_PACKETS = 2  # NFTA_COUNTER_PACKETS
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct("=BBH")


def packets(counters: Map) -> list[int]:
    """The packets of each counter, summed over the CPUs."""
    words = struct.unpack(f"={counters.info.max_entries * counters.width // 8}Q",
                          counters.read_array())  # fmt: skip
    row = counters.width // 8
    return [sum(words[at : at + row : 2]) for at in range(0, len(words), row)]


def all_packets(counters: Map) -> int:
    """The packets of all counters of a pipeline's map together."""
    return sum(sum(row[:: counter_map.WORDS]) for row in counter_map.rows(counters))


def nft_packets(name: str) -> int:
    """The packets of a named counter in this namespace's table `bench`.

    Asked of the kernel: `nft list counter` reads all sets first, which takes 40 s for a large one.
    """
    body = _FAMILY.pack(_NETDEV, 0, 0)
    body += _attribute(_TABLE, b"bench\0") + _attribute(_NAME, name.encode() + b"\0")
    body += _attribute(_TYPE, struct.pack("!I", _COUNTER))
    message = _HEADER.pack(_HEADER.size + len(body), _GET_OBJECT, _REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as channel:
        channel.settimeout(5)
        channel.sendto(message, (0, 0))
        answer = channel.recv(1 << 16)
    found = dict(_attributes(answer[_HEADER.size + _FAMILY.size :]))
    if _DATA not in found:
        raise SystemExit(f"nftables has no counter {name}")
    return int.from_bytes(dict(_attributes(found[_DATA]))[_PACKETS])


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    while len(body) >= 4:
        length, kind = struct.unpack_from("=HH", body)
        yield kind & 0x3FFF, body[4:length]
        body = body[(length + 3) // 4 * 4 :]
