"""The match keys of a policy: one table. A value becomes an interval of the field's numbers.

Spelling as bpfilter's, names of ICMP types and codes as nft's. Names of protocols and services
are a built-in table and not the host's, so that a file means the same everywhere.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xdpctl.topology.codecs import nearest, shown
from xdpctl.topology.model import Interval

L3 = {"ip4": 0x0800, "arp": 0x0806, "ip6": 0x86DD}

L4 = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47,
    "esp": 50, "ah": 51, "icmpv6": 58, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112,
    "l2tp": 115, "sctp": 132, "udplite": 136,
}  # fmt: skip

SERVICES = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53,
    "bootps": 67, "bootpc": 68, "tftp": 69, "http": 80, "kerberos": 88, "pop3": 110,
    "sunrpc": 111, "ntp": 123, "imap2": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179,
    "ldap": 389, "https": 443, "microsoft-ds": 445, "submissions": 465, "isakmp": 500,
    "syslog": 514, "dhcpv6-client": 546, "dhcpv6-server": 547, "submission": 587, "ldaps": 636,
    "domain-s": 853, "imaps": 993, "pop3s": 995, "openvpn": 1194, "ms-sql-s": 1433,
    "radius": 1812, "radius-acct": 1813, "nfs": 2049, "mysql": 3306, "ms-wbt-server": 3389,
    "ipsec-nat-t": 4500, "vxlan": 4789, "sip": 5060, "sip-tls": 5061, "mdns": 5353,
    "postgresql": 5432, "amqp": 5672, "redis": 6379, "http-alt": 8080,
}  # fmt: skip

ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5,
    "echo-request": 8, "router-advertisement": 9, "router-solicitation": 10,
    "time-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13,
    "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
}  # fmt: skip

ICMP_CODES = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3,
    "frag-needed": 4, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip

ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3,
    "parameter-problem": 4, "echo-request": 128, "echo-reply": 129,
    "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
    "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137,
    "router-renumbering": 138, "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142,
    "mld2-listener-report": 143,
}  # fmt: skip

ICMPV6_CODES = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4,
    "policy-fail": 5, "reject-route": 6,
}  # fmt: skip

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}|0x[0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class Key:
    """A match key.

    layer   the deepest header it reads: 1 Ethernet, 2 IP, 3 transport
    guards  the protocol that must be there for it to hold ("" for none)
    bits    width of the field
    names   names of some of its values
    form    what its values look like; "name": the names alone
    """

    name: str
    layer: Literal[1, 2, 3]
    guards: str
    bits: int
    form: Literal["number", "name", "ip4", "ip6"]
    names: Mapping[str, int] = field(default_factory=dict)
    doc: str = ""

    def parse(self, raw: object) -> Interval:
        """The interval that one value without `!` means; ValueError says what it must be."""
        text = str(raw).strip() if isinstance(raw, str | int) and raw is not True else ""
        read = self._addresses if self.form in ("ip4", "ip6") else self._numbers
        found = read(text)
        if found is None:
            hint = nearest(text, self.names) if text and not text[0].isdigit() else ""
            raise ValueError(f"must be {self.wanted()}, not {shown(raw) or 'nothing'}{hint}")
        return found

    def wanted(self) -> str:
        """What is allowed, in words."""
        if self.form in ("ip4", "ip6"):
            version = self.form[-1]
            return f"an IPv{version} address, a prefix (…/n) or a range (…-…)"
        if self.form == "name":
            return f"one of {', '.join(self.names)}"
        names = ", a name" if self.names else ""
        return f"a number of 0-{(1 << self.bits) - 1}{names} or a range"

    def schema(self) -> dict[str, Any]:
        """One value, or a list of such."""
        pattern = {"ip4": r"^!?\s*[0-9./ -]+$", "ip6": r"^!?\s*[0-9a-fA-F:./ -]+$"}
        text: dict[str, Any] = {"type": "string", "minLength": 1}
        if self.form in pattern:
            text["pattern"] = pattern[self.form]
        choices: list[dict[str, Any]] = [text]
        if self.names:
            choices.insert(0, {"enum": list(self.names)})
        if self.form == "number":
            choices.insert(0, {"type": "integer", "minimum": 0, "maximum": (1 << self.bits) - 1})
        one = {"anyOf": choices}
        return {"description": self.doc, "anyOf": [*choices, {"type": "array", "items": one,
                                                             "minItems": 1}]}  # fmt: skip

    def _numbers(self, text: str) -> Interval | None:
        """A name, a number or a range of either; a name may have a dash in it."""
        single = self._number(text)
        if single is not None:
            return Interval(single, single)
        dashes = [at for at, character in enumerate(text) if character == "-"]
        for at in dashes if self.form == "number" else []:
            low, high = self._number(text[:at].strip()), self._number(text[at + 1 :].strip())
            if low is not None and high is not None:
                return _ordered(low, high, text)
        return None

    def _number(self, text: str) -> int | None:
        if text in self.names:
            return self.names[text]
        if self.form == "name" or not _NUMBER.fullmatch(text):
            return None
        number = int(text, 0)
        return number if number < 1 << self.bits else None

    def _addresses(self, text: str) -> Interval | None:
        family = ipaddress.IPv4Network if self.form == "ip4" else ipaddress.IPv6Network
        low, dash, high = text.partition("-")
        if "%" in text or not low or (dash and "/" in text):
            return None
        try:
            network = family(low.strip(), strict=False)
            end = family(high.strip()) if dash else network
        except ValueError:
            return None
        if not dash and int(network.network_address) != int(_host(low)):
            raise ValueError(f"has bits beyond its prefix: {text} (write {network})")
        return _ordered(int(network.network_address), int(end.broadcast_address), text)


def _host(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text.split("/", maxsplit=1)[0].strip())


def _ordered(low: int, high: int, text: str) -> Interval:
    if low > high:
        raise ValueError(f"is a range upside down: {text}")
    return Interval(low, high)


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("ether.type", 1, "", 16, "number", L3, "Type of the frame, behind any VLAN tags."),
        Key("meta.l3_proto", 2, "", 16, "name", L3, "Network protocol."),
        Key("meta.l4_proto", 2, "", 8, "number", L4, "Transport protocol, over IPv4 or IPv6."),
        Key("ip4.saddr", 2, "ip4", 32, "ip4", {}, "IPv4 source."),
        Key("ip4.daddr", 2, "ip4", 32, "ip4", {}, "IPv4 destination."),
        Key("ip4.proto", 2, "ip4", 8, "number", L4, "Protocol field of the IPv4 header."),
        Key("ip6.saddr", 2, "ip6", 128, "ip6", {}, "IPv6 source."),
        Key("ip6.daddr", 2, "ip6", 128, "ip6", {}, "IPv6 destination."),
        Key("tcp.sport", 3, "tcp", 16, "number", SERVICES, "TCP source port."),
        Key("tcp.dport", 3, "tcp", 16, "number", SERVICES, "TCP destination port."),
        Key("udp.sport", 3, "udp", 16, "number", SERVICES, "UDP source port."),
        Key("udp.dport", 3, "udp", 16, "number", SERVICES, "UDP destination port."),
        Key("icmp.type", 3, "icmp", 8, "number", ICMP_TYPES, "ICMP type."),
        Key("icmp.code", 3, "icmp", 8, "number", ICMP_CODES, "ICMP code."),
        Key("icmpv6.type", 3, "icmpv6", 8, "number", ICMPV6_TYPES, "ICMPv6 type."),
        Key("icmpv6.code", 3, "icmpv6", 8, "number", ICMPV6_CODES, "ICMPv6 code."),
    )
}
"""Every key by name. The field of `meta.l3_proto` is the Ethernet type."""


def merged(intervals: list[Interval]) -> tuple[Interval, ...]:
    """Sorted, disjoint, with neighbours joined."""
    result: list[Interval] = []
    for one in sorted(intervals, key=lambda interval: interval.low):
        if result and one.low <= result[-1].high + 1:
            result[-1] = Interval(result[-1].low, max(result[-1].high, one.high))
        else:
            result.append(one)
    return tuple(result)


def schema() -> dict[str, Any]:
    """The JSON Schema of a rule's `match`."""
    return {
        "type": "object",
        "description": "All of these must hold. A value that starts with ! is negated.",
        "properties": {key.name: key.schema() for key in KEYS.values()},
        "additionalProperties": False,
    }
