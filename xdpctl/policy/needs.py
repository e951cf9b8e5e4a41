"""What a device needs beside the frames that its policy passes: ARP, DHCP, answers.

One table: the frames as regions, the others that make no sense without them, and the rules to add.
A rule for answers or DHCP is hardly ever written for one of IPv4 and IPv6, so that it passes frames
of both does not yet say that the device speaks both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xdpctl.policy.fields import (
    ETHERTYPE_ARP,
    ETHERTYPE_IP4,
    ETHERTYPE_IP6,
    ICMPV6,
    L4_ARP,
    SCTP,
    TCP,
    UDP,
)
from xdpctl.policy.intervals import complement
from xdpctl.policy.regions import FRAGMENT, L4, TYPE, Region, Values, top
from xdpctl.topology.key_names import ARP_OPERATIONS, NO_FRAGMENT, SERVICES, TCP_FLAGS


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """What a device gets if any of `sure` passes, or any of `likely` does: that says so where
    `own` passes as well, or none of `instead`.
    """

    sure: tuple[Region, ...]
    likely: tuple[Region, ...] = ()
    own: tuple[Region, ...] = ()
    instead: tuple[Region, ...] = ()

    @property
    def regions(self) -> tuple[Region, ...]:
        """All that is to be asked for."""
        return (*self.sure, *self.likely, *self.own, *self.instead)


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """Frames that a device needs if it gets some others.

    cases  (what it needs, what it gets): all of them must be so
    text   what is missing; goes on after "policy NAME passes "
    rules  the names and matches of the rules to add
    """

    cases: tuple[tuple[Region, Traffic], ...]
    text: str
    rules: tuple[tuple[str, str], ...]


def _one(*numbers: int) -> Values:
    return tuple((number, number) for number in numbers)


def _l4(protocol: int, **more: Values) -> Region:
    return {L4: _one(protocol), FRAGMENT: _one(NO_FRAGMENT)} | more


_IP4: Region = {TYPE: _one(ETHERTYPE_IP4)}
_IP6: Region = {TYPE: _one(ETHERTYPE_IP6)}

_EPHEMERAL: Values = ((32768, 60999),)
"""Where a host's own connections come from (net.ipv4.ip_local_port_range)."""
_ACK: Values = tuple((flags, flags + 15) for flags in range(TCP_FLAGS["ack"], 256, 32))
"""Any flags with the bit for ack, 16."""

ARP: Final[Region] = {
    TYPE: _one(ETHERTYPE_ARP),
    L4: _one(L4_ARP),
    "arp.op": _one(ARP_OPERATIONS["request"], ARP_OPERATIONS["reply"]),
}
NEIGHBOURS: Final[Region] = _l4(ICMPV6, ttl=_one(255)) | {
    "icmp.type": _one(135, 136),
    "icmp.code": _one(0),
}
DHCP: Final[Region] = _IP4 | _l4(
    UDP, sport=_one(SERVICES["bootps"]), dport=_one(SERVICES["bootpc"])
)
DHCPV6: Final[Region] = _IP6 | _l4(UDP, dport=_one(SERVICES["dhcpv6-client"]))
ANSWERS: Final[Region] = _l4(TCP, dport=_EPHEMERAL) | {"tcp.flags": _ACK}
DNS: Final[Region] = _l4(UDP, sport=_one(SERVICES["domain"]), dport=_EPHEMERAL)


def _but(field: str, *spans: tuple[int, int]) -> Values:
    return tuple(complement(sorted(spans), top(field)))


_TCP: Region = {L4: _one(TCP), "dport": _but("dport", *_EPHEMERAL)}
_UDP: Region = {L4: _one(UDP), "dport": _but("dport", (68, 68), (546, 546), *_EPHEMERAL)}
_ICMPV6: Region = {L4: _one(ICMPV6), "icmp.type": _but("icmp.type", (133, 137))}
_SCTP: Region = _TCP | {L4: _one(SCTP)}
_OTHERS: Region = {L4: _but(L4, *_one(TCP, UDP, ICMPV6, SCTP))}
_SURE_IP4 = tuple(_IP4 | more for more in (_TCP, _UDP, _SCTP, _OTHERS))
_SURE_IP6 = tuple(_IP6 | more for more in (_TCP, _UDP, _SCTP, _OTHERS, _ICMPV6))
_GETS_IP4 = Traffic(
    _SURE_IP4, (_IP4 | ANSWERS, _IP4 | DNS), own=(ARP,), instead=(NEIGHBOURS, *_SURE_IP6)
)
_GETS_IP6 = Traffic(
    _SURE_IP6, (_IP6 | ANSWERS, _IP6 | DNS), own=(NEIGHBOURS,), instead=(ARP, *_SURE_IP4)
)
_GETS_TCP, _GETS_TCP_OR_UDP = Traffic((_TCP,)), Traffic((_TCP, _UDP))

_ALONE = "without which neighbours do not find each other"

_ARP_RULE = ("arp", "ether.type: arp")
_ND_RULE = (
    "neighbours",
    "icmpv6.type: [nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert]",
)
_DHCP_RULES = {
    "both": ("dhcp", "udp.dport: [bootpc, dhcpv6-client]"),
    "ip4": ("dhcp", "udp.sport: bootps, udp.dport: bootpc"),
    "ip6": ("dhcpv6", "udp.dport: dhcpv6-client"),
}
_TCP_RULE = ("answers", "tcp.flags: all(ack), tcp.dport: 32768-60999")
_DNS_RULE = ("dns answers", "udp.sport: domain, udp.dport: 32768-60999")

_DHCP = (DHCP, _GETS_IP4)
_DHCPV6 = (DHCPV6, _GETS_IP6)
_ANSWERS = (ANSWERS, _GETS_TCP)
_DNS = (DNS, _GETS_TCP_OR_UDP)
_OWN = "no answers to its device's own"

NEEDS: Final[tuple[tuple[Need, ...], ...]] = (
    (Need(((ARP, _GETS_IP4),), f"IPv4 but no ARP, {_ALONE}", (_ARP_RULE,)),),
    (
        Need(
            ((NEIGHBOURS, _GETS_IP6),),
            f"IPv6 but no neighbour discovery, {_ALONE}",
            (_ND_RULE,),
        ),
    ),
    (
        Need((_DHCP, _DHCPV6), "no answers of DHCP and DHCPv6 servers", (_DHCP_RULES["both"],)),
        Need((_DHCP,), "no answers of DHCP servers", (_DHCP_RULES["ip4"],)),
        Need((_DHCPV6,), "no answers of DHCPv6 servers", (_DHCP_RULES["ip6"],)),
    ),
    (
        Need((_ANSWERS, _DNS), f"{_OWN} TCP connections and DNS queries", (_TCP_RULE, _DNS_RULE)),
        Need((_ANSWERS,), f"{_OWN} TCP connections", (_TCP_RULE,)),
        Need((_DNS,), f"{_OWN} DNS queries", (_DNS_RULE,)),
    ),
)
"""Of each group the first that holds is told of."""
