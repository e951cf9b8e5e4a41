"""Frames from the fields that a user names: the rest gets sensible values, lengths, checksums."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from xdpctl.record import record
from xdpctl.topology.model import Packet, Tag
from xdpctl.topology.packet import L3, L4
from xdpctl.trace.scene import Scene

Fields = Mapping[str, Any]

SENDER = "02:00:00:00:00:fe"
BROADCAST = "ff:ff:ff:ff:ff:ff"
SPORT, DPORT = 51000, 9
"""9 is `discard`: no rule is met by accident."""
DEFAULTS: dict[str, Fields] = {
    "arp": {"op": 1, "spa": "10.0.0.2", "tha": "00:00:00:00:00:00", "tpa": "10.0.0.1"},
    "ip4": {"saddr": "10.0.0.2", "daddr": "10.0.0.1", "dscp": 0, "ttl": 64, "frag": "none"},
    "ip6": {"saddr": "fd00::2", "daddr": "fd00::1", "dscp": 0, "hoplimit": 64, "frag": "none"},
    "tcp": {"sport": SPORT, "dport": DPORT, "flags": 0x02},
    "udp": {"sport": SPORT, "dport": DPORT},
    "sctp": {"sport": SPORT, "dport": DPORT},
    "icmp": {"type": 8, "code": 0},
    "icmpv6": {"type": 128, "code": 0},
}
"""What is left out: SYN of TCP, echo requests of ICMP and ICMPv6."""
LATER_OFFSET = 185
"""Of a later fragment, in units of 8 bytes: the first one had 1,480."""
FRAGMENT_HEADER = 44


def frame(packet: Packet, scene: Scene) -> bytes:
    """The frame that the packet is, or that its fields describe."""
    if packet.frame is not None:
        return packet.frame
    network = _network(packet.layers)
    ether = _ether(packet, network, scene)
    tags = packet.tags
    if tags is None:
        tags = scene.tags(packet.to or packet.root)
    body = packet.payload
    if network is not None:
        body = _BODIES[network](packet, ether)
    made = _mac(ether["daddr"]) + _mac(ether["saddr"]) + _tagged(tags, ether["type"]) + body
    length = len(made) if packet.length is None else packet.length
    return made[:length].ljust(length, b"\0")


def _network(layers: Mapping[str, Fields]) -> str | None:
    """The network layer, named or meant; None where only an Ethernet type is named."""
    named = [layer for layer in ("arp", "ip4", "ip6") if layer in layers]
    if named:
        return named[0]
    kind = layers.get("ether", {}).get("type")
    if kind is not None:
        return next((layer for layer, number in L3.items() if number == kind), None)
    return "ip6" if "icmpv6" in layers else "ip4"


def _ether(packet: Packet, network: str | None, scene: Scene) -> dict[str, Any]:
    to = scene.addresses[packet.to or packet.root]
    if network == "arp" and packet.layers.get("arp", {}).get("op", 1) == 1:
        to = BROADCAST
    kind = L3[network] if network is not None else 0
    return {"daddr": to, "saddr": SENDER, "type": kind, **packet.layers.get("ether", {})}


def _tagged(tags: tuple[Tag, ...], kind: int) -> bytes:
    chain = b"".join(struct.pack("!HH", tag.protocol, tag.pcp << 13 | tag.id) for tag in tags)
    return chain + struct.pack("!H", kind)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _arp(packet: Packet, ether: Fields) -> bytes:
    fields = {"sha": ether["saddr"], **DEFAULTS["arp"], **packet.layers.get("arp", {})}
    addresses = (
        _mac(fields[key]) if key.endswith("ha") else ip_address(fields[key]).packed
        for key in ("sha", "spa", "tha", "tpa")
    )
    head = struct.pack("!HHBBH", 1, L3["ip4"], 6, 4, fields["op"])
    return head + b"".join(addresses) + packet.payload


@record
class _Upper:
    """What an IP packet carries: the protocol's number, and its bytes."""

    protocol: int
    segment: bytes


def _upper(packet: Packet, fields: Fields, number: int | None) -> _Upper:
    """The transport header and the payload; `number` is the protocol if it is named."""
    layer = next((layer for layer in _SEGMENTS if layer in packet.layers), None)
    if layer is None:
        known = {L4[layer]: layer for layer in _SEGMENTS}
        layer = "udp" if number is None else known.get(number)
    if layer is None or fields["frag"] == "later":
        protocol = L4[layer] if layer is not None else int(number or 0)
        return _Upper(protocol, packet.payload)
    values = {**DEFAULTS[layer], **packet.layers.get(layer, {})}
    addresses = ip_address(fields["saddr"]).packed + ip_address(fields["daddr"]).packed
    return _Upper(L4[layer], _SEGMENTS[layer](values, packet.payload, addresses))


def _ip4(packet: Packet, _ether: Fields) -> bytes:
    fields = {**DEFAULTS["ip4"], **packet.layers.get("ip4", {})}
    upper = _upper(packet, fields, fields.get("proto"))
    offset = {"none": 0, "first": 1 << 13, "later": LATER_OFFSET}[fields["frag"]]
    addresses = ip_address(fields["saddr"]).packed + ip_address(fields["daddr"]).packed
    head = struct.pack(
        "!BBHHHBB", 0x45, fields["dscp"] << 2, 20 + len(upper.segment), 1, offset,
        fields["ttl"], upper.protocol,
    )  # fmt: skip
    return head + struct.pack("!H", checksum(head + addresses)) + addresses + upper.segment


def _ip6(packet: Packet, _ether: Fields) -> bytes:
    fields = {**DEFAULTS["ip6"], **packet.layers.get("ip6", {})}
    upper = _upper(packet, fields, fields.get("nexthdr"))
    following, body = upper.protocol, upper.segment
    if fields["frag"] != "none":
        offset = 1 if fields["frag"] == "first" else LATER_OFFSET << 3
        body = struct.pack("!BBHI", following, 0, offset, 1) + body
        following = FRAGMENT_HEADER
    head = struct.pack(
        "!IHBB", 6 << 28 | fields["dscp"] << 22, len(body), following, fields["hoplimit"]
    )
    return head + ip_address(fields["saddr"]).packed + ip_address(fields["daddr"]).packed + body


def _tcp(fields: Fields, payload: bytes, addresses: bytes) -> bytes:
    ports = struct.pack("!HHII", fields["sport"], fields["dport"], 1, 0)
    rest = struct.pack("!BBH", 0x50, fields["flags"], 64240)
    segment = ports + rest + bytes(4) + payload
    return _summed(segment, 16, pseudo(addresses, L4["tcp"], len(segment)))


def _udp(fields: Fields, payload: bytes, addresses: bytes) -> bytes:
    length = 8 + len(payload)
    segment = struct.pack("!HHHH", fields["sport"], fields["dport"], length, 0) + payload
    found = _summed(segment, 6, pseudo(addresses, L4["udp"], length))
    return found if found[6:8] != b"\0\0" else found[:6] + b"\xff\xff" + found[8:]


def _sctp(fields: Fields, payload: bytes, _addresses: bytes) -> bytes:
    head = struct.pack("!HHI", fields["sport"], fields["dport"], 1)
    return head + struct.pack("<I", crc32c(head + bytes(4) + payload)) + payload


def _icmp(fields: Fields, payload: bytes, _addresses: bytes) -> bytes:
    return _summed(struct.pack("!BBHHH", fields["type"], fields["code"], 0, 1, 1) + payload, 2)


def _icmpv6(fields: Fields, payload: bytes, addresses: bytes) -> bytes:
    segment = struct.pack("!BBHHH", fields["type"], fields["code"], 0, 1, 1) + payload
    return _summed(segment, 2, pseudo(addresses, L4["icmpv6"], len(segment)))


def _summed(segment: bytes, at: int, before: bytes = b"") -> bytes:
    """The segment with its checksum, which covers `before` as well, at `at`."""
    return segment[:at] + struct.pack("!H", checksum(before + segment)) + segment[at + 2 :]


def pseudo(addresses: bytes, protocol: int, length: int) -> bytes:
    """The pseudo header of either IP version (RFC 793, RFC 8200)."""
    return addresses + struct.pack("!II", length, protocol)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc32c(data: bytes) -> int:
    """SCTP's checksum (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


_BODIES: dict[str, Callable[[Packet, Fields], bytes]] = {"arp": _arp, "ip4": _ip4, "ip6": _ip6}
_SEGMENTS: dict[str, Callable[[Fields, bytes, bytes], bytes]] = {
    "tcp": _tcp,
    "udp": _udp,
    "sctp": _sctp,
    "icmp": _icmp,
    "icmpv6": _icmpv6,
}
