"""Frames from fields, looked at by the parser that defines the policies' meaning."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from xdpctl.policy.frame import Layer, parse
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Packet
from xdpctl.trace.packets import checksum, crc32c, frame, pseudo
from xdpctl.trace.scene import Scene

TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, match: {mac: "02:00:00:00:00:01"}}
  web0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:10"}
  q0: {kind: vlan, parent: eth0, id: 7, protocol: 802.1ad}
  q1: {kind: vlan, parent: q0, id: 8}
  all1: {kind: macvlan, parent: q1, mode: passthru}
tests: [{packet: {PACKET}, expect: {verdict: pass}}]
"""


def made(packet: str) -> bytes:
    topology = load_texts({"t.yaml": TEXT.replace("PACKET", packet)})
    return frame(topology.tests[0].packet, Scene(topology))


@pytest.mark.parametrize(
    ("packet", "fields"),
    [
        ("to: web0", {"version": 4, "l4": 17, "dport": 9}),
        ("to: web0, tcp: {dport: https}", {"version": 4, "l4": 6, "dport": 443, "sport": 51000}),
        ("to: web0, tcp.dport: 443, tcp.sport: 1", {"l4": 6, "dport": 443, "sport": 1}),
        ("to: web0, ip6: {}, udp: {sport: 53}", {"version": 6, "l4": 17, "sport": 53}),
        ("to: web0, sctp: {dport: 5}", {"l4": 132, "dport": 5}),
        ("to: web0, icmp: ", {"version": 4, "l4": 1, "icmp_type": 8, "icmp_code": 0}),
        ("to: web0, icmpv6: {type: nd-redirect}", {"version": 6, "l4": 58, "icmp_type": 137}),
        ("to: web0, ip4: {proto: tcp}", {"l4": 6, "dport": 9}),
        ("to: web0, ip4: {proto: gre}", {"protocol": 47, "l4": None}),
        ("to: web0, ip4: {frag: later}, tcp: {}", {"protocol": 6, "l4": None}),
        ("to: web0, ip4: {frag: first}, tcp: {}", {"protocol": 6, "l4": 6}),
        ("to: web0, ip6: {frag: later}, tcp: {}", {"protocol": 6, "l4": None}),
        ("to: web0, ip6: {frag: first}, tcp: {}", {"protocol": 6, "l4": 6}),
        ("to: web0, ip4: {saddr: 1.2.3.4}", {"saddr": 0x01020304, "daddr": 0x0A000001}),
        ("to: web0, ip6.daddr: 2001:db8::1", {"daddr": 0x20010DB8 << 96 | 1}),
        ("to: web0, arp: {op: reply}", {"ether_type": 0x0806, "version": None}),
        ("to: web0, ether: {type: 0x88cc}, payload: x", {"ether_type": 0x88CC, "l4": None}),
        ("to: web0, ether: {type: ip6}", {"version": 6, "l4": 17}),
    ],
)
def test_what_is_named_is_in_it_and_the_rest_is_whole(packet: str, fields: dict[str, Any]) -> None:
    headers = parse(made(packet))
    assert headers.parsed is Layer.WHOLE
    assert {name: getattr(headers, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("packet", "start"),
    [
        ("to: web0", "020000000010 0200000000fe 0800"),
        ("in: eth0", "020000000001 0200000000fe 0800"),
        ("to: web0, arp: {}", "ffffffffffff 0200000000fe 0806 0001 0800 0604 0001 0200000000fe"),
        ("to: web0, arp: {op: reply}", "020000000010 0200000000fe 0806 0001 0800 0604 0002"),
        ("to: web0, ether: {daddr: multicast, saddr: 06-00-00-00-00-01}",
         "01005e000001 060000000001"),
        ("to: web0, vlan: {id: 7, pcp: 3}", "020000000010 0200000000fe 8100 6007 0800"),
        ("to: all1", "020000000001 0200000000fe 88a8 0007 8100 0008 0800"),
        ("to: web0, vlan.id: 7, vlan.pcp: 3", "020000000010 0200000000fe 8100 6007 0800"),
        ("to: web0, vlan: {id: 7, inner_id: 8}",
         "020000000010 0200000000fe 8100 0007 8100 0008 0800"),
        ("to: all1, vlan: none", "020000000001 0200000000fe 0800"),
        ("to: all1, vlan: [9, {id: 1, protocol: 802.1ad}]",
         "020000000001 0200000000fe 8100 0009 88a8 0001 0800"),
        ("to: web0, ip4: {dscp: ef, ttl: 3}", "020000000010 0200000000fe 0800 45b8001c00010000 03"),
        ("to: web0, ip6: {dscp: ef, hoplimit: 3}",
         "020000000010 0200000000fe 86dd 6b800000 0008 11 03"),
    ],
)  # fmt: skip
def test_how_it_begins(packet: str, start: str) -> None:
    wanted = bytes.fromhex(start)
    assert made(packet)[: len(wanted)].hex(" ") == wanted.hex(" ")


@pytest.mark.parametrize(
    "packet", ["tcp: {flags: [syn, ack]}", "udp: {}", "icmp: {}", "icmpv6: {}", "ip6: {}, tcp: {}"]
)
@pytest.mark.parametrize("payload", ["", "x", "odd", "some text"])
def test_checksums_and_lengths(packet: str, payload: str) -> None:
    found = made(f"to: web0, {packet}, payload: '{payload}'")
    packet_bytes = found[14:]
    if found[12:14] == b"\x08\x00":
        assert checksum(packet_bytes[:20]) == 0
        assert struct.unpack_from("!H", packet_bytes, 2) == (len(packet_bytes),)
        protocol, addresses, segment = packet_bytes[9], packet_bytes[12:20], packet_bytes[20:]
    else:
        assert struct.unpack_from("!H", packet_bytes, 4) == (len(packet_bytes) - 40,)
        protocol, addresses, segment = packet_bytes[6], packet_bytes[8:40], packet_bytes[40:]
    covered = b"" if protocol == 1 else pseudo(addresses, protocol, len(segment))
    assert checksum(covered + segment) == 0
    assert segment.endswith(payload.encode())


def test_checksums_added_up_by_hand() -> None:
    """10.0.0.2:51000 to 10.0.0.1:9: 0a00 + 2 + 0a00 + 1 + 11 + 8 + c738 + 9 + 8 = db65."""
    assert made("to: web0")[40:42] == (0xFFFF - 0xDB65).to_bytes(2, "big")
    assert made("to: web0, ip6: {}")[60:62] == (0xFFFF - 0xC167).to_bytes(2, "big")


def test_udp_writes_a_sum_of_zero_as_ones() -> None:
    """Zero would say that there is no checksum (RFC 768)."""
    rest = 0xFFFF - 0xDB65 - 4  # the length counts twice
    assert made(f"to: web0, payload: {{hex: '{rest:04x}'}}")[40:42] == b"\xff\xff"


def test_known_checksums() -> None:
    """RFC 1071's own example, and CRC-32C's check value (of the nine digits)."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert crc32c(b"123456789") == 0xE3069283


def test_a_length_fills_up_or_cuts() -> None:
    whole = made("to: web0, payload: {hex: 'ff ff'}")
    assert made("to: web0, payload: {hex: 'ffff'}, length: 100") == whole + bytes(100 - len(whole))
    assert made("to: web0, payload: {hex: 'ffff'}, length: 20") == whole[:20]


def test_bytes_stay_as_they_are() -> None:
    wanted = bytes(range(64))
    topology = load_texts({"t.yaml": TEXT.replace("PACKET", "in: eth0")})
    assert frame(Packet("eth0", frame=wanted), Scene(topology)) == wanted
    assert made(f"hex: '{wanted.hex(':')}'") == wanted
