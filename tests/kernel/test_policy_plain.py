"""A frame that differs in one thing from those that the plain parser takes is not taken for one.

Frames are as long as on a wire, so that no end of a frame keeps a parser from reading too far.
"""

from __future__ import annotations

import struct

import pytest

from tests.policies.frames import (
    ARP,
    ICMP,
    ICMPV6,
    IP4,
    IP6,
    SCTP,
    TCP,
    UDP,
    arp,
    ethernet,
    icmp,
    ip4,
    ip6,
    sctp,
    tcp,
    udp,
)  # fmt: skip
from tests.policies.rig import loaded
from xdpctl.policy.evaluate import evaluate
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Location, Policy, Rule

pytestmark = pytest.mark.kernel

HERE = Location("policy.yaml", 1, 1)
PADDING = bytes(64)
_SYN = tcp() + PADDING
_IGMP = 2

FRAMES: dict[str, bytes] = {
    "plain tcp": ethernet(IP4, ip4(TCP, _SYN)),
    "plain udp": ethernet(IP4, ip4(UDP, udp() + PADDING)),
    "ttl and class": ethernet(IP4, ip4(TCP, _SYN, service=0xB8, ttl=1)),
    "other addresses": ethernet(IP4, ip4(TCP, _SYN, saddr="10.1.2.3", daddr="10.3.2.1")),
    "other ports": ethernet(IP4, ip4(UDP, udp(53, 5000) + PADDING)),
    "fin": ethernet(IP4, ip4(TCP, tcp(flags=1) + PADDING)),
    "options": ethernet(IP4, ip4(TCP, _SYN, options=b"\1" * 4)),
    "first fragment": ethernet(IP4, ip4(TCP, _SYN, more=True)),
    "later fragment": ethernet(IP4, ip4(TCP, _SYN, offset=1, more=True)),
    "last fragment": ethernet(IP4, ip4(UDP, udp() + PADDING, offset=0x1000)),
    "sctp": ethernet(IP4, ip4(SCTP, sctp() + PADDING)),
    "icmp": ethernet(IP4, ip4(ICMP, icmp() + PADDING)),
    "icmpv6 over ip4": ethernet(IP4, ip4(ICMPV6, icmp(128) + PADDING)),
    "igmp": ethernet(IP4, ip4(_IGMP, PADDING)),
    "tcp over ip6": ethernet(IP6, ip6(TCP, _SYN)),
    "icmpv6": ethernet(IP6, ip6(ICMPV6, icmp(128) + PADDING)),
    "arp": ethernet(ARP, arp() + PADDING),
    "tag": ethernet(IP4, ip4(TCP, _SYN), (0x8100,), control=(3 << 13 | 5,)),
    "tag of udp": ethernet(IP4, ip4(UDP, udp() + PADDING), (0x88A8,), control=(3 << 13 | 5,)),
    "two tags": ethernet(IP4, ip4(TCP, _SYN), (0x88A8, 0x8100), control=(3 << 13 | 5, 6)),
    "type of arp": ethernet(ARP, ip4(TCP, _SYN)),
    "type with bytes swapped": ethernet(0x0008, ip4(TCP, _SYN)),
    "says version 6": ethernet(IP4, ip4(TCP, _SYN, version=6)),
    "four words": ethernet(IP4, ip4(TCP, _SYN, words=4)),
    "tcp cut": ethernet(IP4, ip4(TCP, tcp()[:19])),
    "udp cut": ethernet(IP4, ip4(UDP, udp()[:7])),
    "udp without payload": ethernet(IP4, ip4(UDP, udp())),
    "long": ethernet(IP4, ip4(TCP, _SYN + struct.pack("!H", 1) * 700)),
}

DEEP = {
    "ether.type": "0x0800", "vlan.id": "none", "vlan.pcp": "3", "vlan.inner_id": "none",
    "ip4.saddr": "192.0.2.1", "ip4.daddr": "198.51.100.0/24", "ip4.dscp": "ef", "ip4.ttl": "64",
    "ip4.frag": "none", "ip4.proto": "tcp", "tcp.dport": "443", "tcp.flags": "syn",
    "udp.dport": "53", "udp.sport": "51000", "sctp.dport": "5000", "icmp.type": "8",
    "icmpv6.type": "128", "ip6.nexthdr": "tcp", "arp.op": "1", "ether.saddr": "02:00:00:00:00:02",
    "meta.length": "60-1514",
}  # fmt: skip
"""A rule of each: together they count all that a frame was taken for."""
SHALLOW = {
    key: value for key, value in DEEP.items()
    if key.startswith(("ether", "vlan", "ip4", "ip6")) and key != "ip6.nexthdr"
}  # fmt: skip
"""None of them looks at an L4 header."""


def counting(wanted: dict[str, str]) -> Policy:
    rules = tuple(
        Rule(key, (KEYS[key].condition(KEYS[key].parse(value), negated=False),), "count", HERE)
        for key, value in wanted.items()
    )
    return Policy("one", "drop", rules, HERE)


@pytest.mark.parametrize("wanted", [DEEP, SHALLOW], ids=["l4", "ip"])
def test_each_frame_is_taken_for_what_it_is(wanted: dict[str, str]) -> None:
    policy = counting(wanted)
    seen: set[int] = set()
    with loaded(policy) as rig:
        for name, frame in FRAMES.items():
            assert rig.check(frame) >= 4, name
            seen.update(evaluate(policy, frame).counted)
    assert seen >= {*range(len(wanted))}, "a rule that no frame meets tells nothing"


@pytest.mark.parametrize("key", DEEP)
def test_one_rule_alone_sees_its_field(key: str) -> None:
    """Fields that no rule reads are not stored: each must not depend on another's."""
    with loaded(counting({key: DEEP[key], "tcp.sport": "51000"})) as rig:
        for name, frame in FRAMES.items():
            assert rig.check(frame) >= 4, name
