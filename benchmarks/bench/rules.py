"""Ten rules as people write them, for xdpctl and for nftables; every number has others.

The last one is the only one that takes the frames of the benchmarks, and it drops them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

LAST: Final = "rest"
PORT: Final = 9999
"""The destination port of the frames: the end of the last rule's range."""
COUNT: Final = 10


@dataclass(frozen=True)
class Rule:
    """One rule: its name, xdpctl's match, nftables', and what becomes of a frame that matches."""

    name: str
    match: str
    nft: str
    action: str = "pass"


def rules(number: int) -> list[Rule]:
    """The rules of the policy of this number: constants differ in each, four have other keys."""
    high, low = number >> 8 & 0xFF, number & 0xFF
    port = 8000 + number % 900
    found = [
        Rule("arp", "ether.type: arp", "ether type arp"),
        Rule(
            "web",
            f"tcp.dport: [80, 443, {port}-{port + 100}]",
            f"tcp dport {{ 80, 443, {port}-{port + 100} }}",
        ),
        Rule(
            "ssh",
            f"ip4.saddr: 172.{16 + (number >> 16)}.{high}.{low}/32, tcp.dport: {22 + number % 4}",
            f"ip saddr 172.{16 + (number >> 16)}.{high}.{low} tcp dport {22 + number % 4}",
        ),
        Rule("dns", "udp.sport: 53", "udp sport 53"),
        Rule(
            "ntp",
            f"udp.sport: 123, ip4.saddr: 198.{18 + number % 2}.{low}.0/24",
            f"udp sport 123 ip saddr 198.{18 + number % 2}.{low}.0/24",
        ),
        Rule("ping", "icmp.type: echo-request", "icmp type echo-request"),
        Rule(
            "neighbours",
            "icmpv6.type: [nd-neighbor-solicit, nd-neighbor-advert]",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }",
        ),
        Rule("quic", f"udp.dport: [443, {port}]", f"udp dport {{ 443, {port} }}"),
        Rule("bad", f"ip4.saddr: 10.{high}.{low}.0/24", f"ip saddr 10.{high}.{low}.0/24", "drop"),
        Rule(
            LAST, f"udp.dport: {9100 + number % 800}-9999",
            f"udp dport {9100 + number % 800}-9999", "drop",
        ),
    ]  # fmt: skip
    return _varied(found, number)


def passing(ports: Sequence[int]) -> list[Rule]:
    """The same, but TCP of these ports passes by the ninth rule or, answers, by the eighth.

    The last one passes, too.
    """
    found = rules(0)
    listed = ", ".join(str(port) for port in ports)
    found[7] = Rule("answers", f"tcp.sport: [{listed}]", f"tcp sport {{ {listed} }}")
    found[8] = Rule("asked", f"tcp.dport: [{listed}]", f"tcp dport {{ {listed} }}")
    found[9] = replace(found[9], action="pass")
    return found


def _varied(found: list[Rule], number: int) -> list[Rule]:
    """Every fourth as it is, the others with a rule of another kind in place of one of these."""
    if number % 4 == 1:
        found[5] = Rule("voice", "ip4.dscp: ef", "ip dscp ef")
    elif number % 4 == 2:
        found[6] = Rule("signal", "sctp.dport: 2905", "sctp dport 2905")
    elif number % 4 == 3:
        found[7] = Rule("scan", "tcp.flags: 'syn,fin'", "tcp flags == syn | fin", "drop")
        found[1], found[4] = found[4], found[1]
    return found
