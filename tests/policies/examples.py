"""An example for each match key: docs/policies.md shows it, and a test runs it in the kernel."""

from __future__ import annotations

from dataclasses import dataclass

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
    fragment,
    icmp,
    ip4,
    ip6,
    option,
    sctp,
    tcp,
    udp,
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A value as it is written in YAML, a frame that it holds on, and one that it does not."""

    value: str
    on: str
    frame: bytes
    not_on: str
    other: bytes


WEB = ethernet(IP4, ip4(TCP, tcp()))
DNS = ethernet(IP4, ip4(UDP, udp()))
DNS6 = ethernet(IP6, ip6(UDP, udp()))
ASK = ethernet(ARP, arp(1, "10.0.0.1", "10.0.0.2"))
ANSWER = ethernet(ARP, arp(2, "10.0.0.2", "10.0.0.1"))
PING = ethernet(IP4, ip4(ICMP, icmp(8)))
PING6 = ethernet(IP6, ip6(ICMPV6, icmp(128)))
TAGGED = ethernet(IP4, ip4(TCP, tcp()), (0x8100,), control=(5 << 13 | 100,))
DOUBLE = ethernet(IP4, ip4(TCP, tcp()), (0x88A8, 0x8100), control=(100, 7))
FIRST = ethernet(IP4, ip4(UDP, udp(), more=True))
LATER = ethernet(IP4, ip4(UDP, bytes(8), offset=1))
LATER6 = ethernet(IP6, ip6(UDP, bytes(8), extensions=[fragment(1)]))
ROUTED6 = ethernet(IP6, ip6(TCP, tcp(), extensions=[option(43)]))

EXAMPLES = {
    "ether.type": Example("[arp, ip4]", "an ARP request", ASK, "a frame of IPv6", DNS6),
    "ether.saddr": Example(
        '"02:00:00:00:00:00/ff:ff:ff:00:00:00"',
        "a frame from 02:00:00:00:00:02", WEB,
        "a frame from 00:11:22:33:44:55",
        ethernet(IP4, ip4(TCP, tcp()), saddr=0x001122334455),
    ),
    "ether.daddr": Example(
        '"!multicast"',
        "a frame to 02:00:00:00:00:01", WEB,
        "a frame to 33:33:00:00:00:01", ethernet(IP6, ip6(UDP, udp()), daddr=0x333300000001),
    ),
    "vlan.id": Example("[none, 100-199]", "a frame in VLAN 100, and an untagged one", TAGGED,
                       "a frame in VLAN 7", ethernet(IP4, ip4(TCP, tcp()), (0x8100,))),
    "vlan.pcp": Example("4-7", "a frame of priority 5", TAGGED, "an untagged frame", WEB),
    "vlan.inner_id": Example('"!none"', "VLAN 7 within VLAN 100", DOUBLE,
                             "a frame with one tag", TAGGED),
    "meta.l3_proto": Example("ip6", "a frame of IPv6", DNS6, "an ARP request", ASK),
    "meta.l4_proto": Example("[tcp, sctp]", "a TCP segment over IPv4 or IPv6", WEB,
                             "a UDP datagram", DNS),
    "meta.sport": Example("1024-65535", "UDP from port 51000", DNS, "a ping: it has no port", PING),
    "meta.dport": Example("[domain, https]", "TCP to port 443, UDP to port 53", DNS6,
                          "SCTP to port 5000", ethernet(IP4, ip4(SCTP, sctp()))),
    "meta.port": Example("eth0", "a frame that came in by eth0", WEB,
                         "none: all came in by it", b""),
    "meta.length": Example("0-128", "a frame of 54 bytes", WEB,
                           "a frame of 1,514 bytes", ethernet(IP4, ip4(UDP, udp() + bytes(1472)))),
    "meta.probability": Example("100%", "every frame", WEB, "none: 100 % is all of them", b""),
    "meta.flow_probability": Example("50%", "one half of the flows, this one among them", WEB,
                                     "the other half", DNS6),
    "ip4.saddr": Example("192.0.2.0/24", "a packet from 192.0.2.1", WEB,
                         "a packet from 198.51.100.1", ethernet(IP4, ip4(TCP, tcp(),
                                                                         saddr="198.51.100.1"))),
    "ip4.daddr": Example("198.51.100.1-198.51.100.9", "a packet to 198.51.100.1", WEB,
                         "a packet to 198.51.100.10", ethernet(IP4, ip4(TCP, tcp(),
                                                                        daddr="198.51.100.10"))),
    "ip4.proto": Example("icmp", "a ping", PING, "a ping over IPv6", PING6),
    "ip4.dscp": Example("[ef, cs5-cs7]", "a packet of the class EF",
                        ethernet(IP4, ip4(UDP, udp(), service=46 << 2)),
                        "a packet of no class", DNS),
    "ip4.ttl": Example("0-1", "a packet of traceroute", ethernet(IP4, ip4(UDP, udp(), ttl=1)),
                       "a packet with a TTL of 64", DNS),
    "ip4.frag": Example("any", "a first or a later fragment", FIRST, "a whole packet", DNS),
    "ip6.saddr": Example('"2001:db8::/32"', "a packet from 2001:db8::1", DNS6,
                         "a packet from fe80::1", ethernet(IP6, ip6(UDP, udp(), saddr="fe80::1"))),
    "ip6.daddr": Example('"!ff00::/8"', "a packet to 2001:db8::2", DNS6,
                         "a packet to ff02::1", ethernet(IP6, ip6(UDP, udp(), daddr="ff02::1"))),
    "ip6.nexthdr": Example("[route, ah]", "a segment behind a routing header", ROUTED6,
                           "a packet without extension headers", DNS6),
    "ip6.dscp": Example("af41-af43", "a packet of the class AF42",
                        ethernet(IP6, ip6(UDP, udp(), service=36 << 2)),
                        "a packet of no class", DNS6),
    "ip6.hoplimit": Example('"!255"', "a packet that has been routed", DNS6,
                            "neighbour discovery from the link",
                            ethernet(IP6, ip6(ICMPV6, icmp(135), hops=255))),
    "ip6.frag": Example("later", "a later fragment", LATER6, "a whole packet", DNS6),
    "tcp.sport": Example("0-1023", "a segment from port 443",
                         ethernet(IP4, ip4(TCP, tcp(443, 51000))),
                         "a segment from port 51000", WEB),
    "tcp.dport": Example("[ssh, 443, 8000-8100]", "a segment to port 443", WEB,
                         "a segment to port 80", ethernet(IP4, ip4(TCP, tcp(dport=80)))),
    "tcp.flags": Example('["syn", "all(rst,ack)"]', "the first segment of a connection", WEB,
                         "the answer to it", ethernet(IP4, ip4(TCP, tcp(flags=0x12)))),
    "udp.sport": Example('"!53"', "a question", DNS, "the answer",
                         ethernet(IP4, ip4(UDP, udp(53, 51000)))),
    "udp.dport": Example("domain", "a question over IPv6", DNS6, "its later fragment", LATER6),
    "sctp.sport": Example("51000", "a packet from port 51000", ethernet(IP4, ip4(SCTP, sctp())),
                          "TCP from port 51000", WEB),
    "sctp.dport": Example("5000-5010", "a packet to port 5000", ethernet(IP6, ip6(SCTP, sctp())),
                          "a packet to port 4999", ethernet(IP6, ip6(SCTP, sctp(dport=4999)))),
    "icmp.type": Example("[echo-request, echo-reply]", "a ping", PING, "a ping over IPv6", PING6),
    "icmp.code": Example("frag-needed", "path MTU discovery",
                         ethernet(IP4, ip4(ICMP, icmp(3, 4))), "a ping", PING),
    "icmpv6.type": Example("nd-router-solicit-nd-redirect", "neighbour discovery",
                           ethernet(IP6, ip6(ICMPV6, icmp(135))), "a ping", PING6),
    "icmpv6.code": Example('"!0"', "a destination's port that nobody listens on",
                           ethernet(IP6, ip6(ICMPV6, icmp(1, 4))), "a ping", PING6),
    "arp.op": Example("request", "a question", ASK, "an answer", ANSWER),
    "arp.spa": Example('"!10.0.0.1"', "a packet of anybody but 10.0.0.1", ANSWER,
                       "a packet of 10.0.0.1", ASK),
    "arp.tpa": Example("10.0.0.2", "a question for 10.0.0.2", ASK, "a question for 10.0.0.1",
                       ethernet(ARP, arp(1, "10.0.0.2", "10.0.0.1"))),
}  # fmt: skip
