"""The match keys of a policy: one table. A value becomes intervals, or masks, of the field.

Spelling as bpfilter's; the forms of values are in key_forms.py, the names in key_names.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

from xdpctl.record import record
from xdpctl.topology import key_names as names
from xdpctl.topology.codecs import nearest, shown
from xdpctl.topology.form import Form, Span, Spans
from xdpctl.topology.key_addresses import Address, Mac
from xdpctl.topology.key_forms import DeviceName, Flags, Number, Percent, Word
from xdpctl.topology.model import COMPOSITE, Condition, Interval, Masked, Set


@record
class Key:
    """A match key.

    layer   the deepest header it reads: 0 none, 1 Ethernet, 2 IP, 3 transport
    guards  what must be there for it to hold, by a name of PRESENT ("": nothing)
    form    what its values look like
    """

    name: str
    layer: Literal[0, 1, 2, 3]
    guards: str
    form: Form
    doc: str

    @property
    def bits(self) -> int:
        """Width of the field."""
        return self.form.bits

    def parse(self, raw: object) -> Spans:
        """What one value without `!` means; ValueError says what it must be."""
        is_text = isinstance(raw, str | int | float) and not isinstance(raw, bool)
        text = str(raw).strip() if is_text else ""
        found = self.form.parse(text)
        if found is None:
            is_word = re.fullmatch(r"[A-Za-z][\w-]*", text)
            hint = nearest(text, self.form.names) if is_word else ""
            raise ValueError(f"must be {self.form.wanted()}, not {shown(raw) or 'nothing'}{hint}")
        return found

    def condition(
        self,
        spans: Iterable[Span],
        *,
        negated: bool = False,
        sets: Sequence[Set] = (),
        devices: Sequence[str] = (),
    ) -> Condition:
        """The condition that any of the values holds, or none of them."""
        spans = tuple(spans)
        intervals = merged([each for each in spans if isinstance(each, Interval)])
        masks = sorted({each for each in spans if isinstance(each, Masked)})
        sets, devices = tuple(dict.fromkeys(sets)), tuple(sorted(set(devices)))
        return Condition(self.name, intervals, negated, tuple(masks), sets, devices)

    def schema(self) -> dict[str, Any]:
        """One value, or a list of such."""
        choices = self.form.choices()
        if isinstance(self.form, Address | Mac):  # a pattern that names of sets do not match
            choices.append(_SET_NAME)
        several = {"type": "array", "items": {"anyOf": choices}, "minItems": 1}
        listed = [several] if self.form.several else []
        return {"description": self.doc, "anyOf": [*choices, *listed]}


_U8, _U16 = Number(8), Number(16)
_PORT = Number(16, names.SERVICES)
_PROTOCOL = Number(8, names.L4)
_DSCP = Number(6, names.DSCP)
_FRAGMENT = Word(2, names.FRAGMENTS)
_NETWORK = Word(16, {name: Interval(number, number) for name, number in names.L3.items()})
_VLAN_ID = Number(12, none=True)

KEYS: Final[dict[str, Key]] = {
    key.name: key
    for key in (
        Key("ether.type", 1, "", Number(16, names.L3), "Type of the frame, behind any VLAN tags."),
        Key("ether.saddr", 1, "", Mac(), "Source MAC address."),
        Key("ether.daddr", 1, "", Mac(names.GROUPS), "Destination MAC address."),
        Key("vlan.id", 1, "", _VLAN_ID, "VLAN of the outer tag; none: the frame is untagged."),
        Key("vlan.pcp", 1, "", Number(3, none=True), "Priority in the outer VLAN tag."),
        Key("vlan.inner_id", 1, "", _VLAN_ID, "VLAN of the second tag; none: there is none."),
        Key("meta.l3_proto", 2, "", _NETWORK, "Network protocol."),
        Key("meta.l4_proto", 2, "ip", _PROTOCOL, "Transport protocol, over IPv4 or IPv6."),
        Key("meta.sport", 3, "ports", _PORT, "Source port of TCP, UDP or SCTP."),
        Key("meta.dport", 3, "ports", _PORT, "Destination port of TCP, UDP or SCTP."),
        Key("meta.port", 0, "", DeviceName(), "The physical port that it came in by."),
        Key("meta.length", 0, "", Number(32), "Bytes of the frame from its Ethernet header on."),
        Key("meta.probability", 0, "", Percent(), "So many of the frames, by chance."),
        Key("meta.flow_probability", 3, "ip", Percent(), "So many of the flows, by their hash."),
        Key("ip4.saddr", 2, "ip4", Address(4), "IPv4 source."),
        Key("ip4.daddr", 2, "ip4", Address(4), "IPv4 destination."),
        Key("ip4.proto", 2, "ip4", _PROTOCOL, "Protocol field of the IPv4 header."),
        Key("ip4.dscp", 2, "ip4", _DSCP, "Class of service in the IPv4 header."),
        Key("ip4.ttl", 2, "ip4", _U8, "Time to live."),
        Key("ip4.frag", 2, "ip4", _FRAGMENT, "Which fragment of an IPv4 packet it is."),
        Key("ip6.saddr", 2, "ip6", Address(6), "IPv6 source."),
        Key("ip6.daddr", 2, "ip6", Address(6), "IPv6 destination."),
        Key("ip6.nexthdr", 2, "ip6", Number(8, names.NEXT_HEADERS),
            "Protocol of any header of the IPv6 chain, extension headers included."),
        Key("ip6.dscp", 2, "ip6", _DSCP, "Class of service in the IPv6 header."),
        Key("ip6.hoplimit", 2, "ip6", _U8, "Hop limit."),
        Key("ip6.frag", 2, "ip6", _FRAGMENT, "Which fragment of an IPv6 packet it is."),
        Key("tcp.sport", 3, "tcp", _PORT, "TCP source port."),
        Key("tcp.dport", 3, "tcp", _PORT, "TCP destination port."),
        Key("tcp.flags", 3, "tcp", Flags(), "TCP flags."),
        Key("udp.sport", 3, "udp", _PORT, "UDP source port."),
        Key("udp.dport", 3, "udp", _PORT, "UDP destination port."),
        Key("sctp.sport", 3, "sctp", _PORT, "SCTP source port."),
        Key("sctp.dport", 3, "sctp", _PORT, "SCTP destination port."),
        Key("icmp.type", 3, "icmp", Number(8, names.ICMP_TYPES), "ICMP type."),
        Key("icmp.code", 3, "icmp", Number(8, names.ICMP_CODES), "ICMP code."),
        Key("icmpv6.type", 3, "icmpv6", Number(8, names.ICMPV6_TYPES), "ICMPv6 type."),
        Key("icmpv6.code", 3, "icmpv6", Number(8, names.ICMPV6_CODES), "ICMPv6 code."),
        Key("arp.op", 3, "arp", Number(16, names.ARP_OPERATIONS), "Operation of an ARP packet."),
        Key("arp.spa", 3, "arp", Address(4), "IPv4 address of an ARP packet's sender."),
        Key("arp.tpa", 3, "arp", Address(4), "IPv4 address that an ARP packet asks for."),
    )
}  # fmt: skip
"""Every key by name. The field of `meta.l3_proto` is the Ethernet type."""

PRESENT: Final = {
    "ip4": {"ip4 tcp", "ip4 udp", "ip4 sctp", "ip4 icmp", "ip4 other"},
    "ip6": {"ip6 tcp", "ip6 udp", "ip6 sctp", "ip6 icmpv6", "ip6 other"},
    "ip": {
        f"{version} {protocol}"
        for version, icmp in (("ip4", "icmp"), ("ip6", "icmpv6"))
        for protocol in ("tcp", "udp", "sctp", icmp, "other")
    },
    "ports": {f"{ip} {protocol}" for ip in ("ip4", "ip6") for protocol in ("tcp", "udp", "sctp")},
    "tcp": {"ip4 tcp", "ip6 tcp"},
    "udp": {"ip4 udp", "ip6 udp"},
    "sctp": {"ip4 sctp", "ip6 sctp"},
    "icmp": {"ip4 icmp"},
    "icmpv6": {"ip6 icmpv6"},
    "arp": {"arp"},
}
"""Guard → the kinds of frames that have it: keys of guards with no kind in common exclude."""


def exclude(one: Key, other: Key) -> bool:
    """Whether no frame has both keys' protocols."""
    if not one.guards or not other.guards:
        return False
    return PRESENT[one.guards].isdisjoint(PRESENT[other.guards])


def merged(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Sorted, disjoint, with neighbours joined."""
    result: list[Interval] = []
    for one in sorted(intervals, key=lambda interval: interval.low):
        if result and one.low <= result[-1].high + 1:
            result[-1] = Interval(result[-1].low, max(result[-1].high, one.high))
        else:
            result.append(one)
    return tuple(result)


_SET_NAME = {"type": "string", "pattern": r"^\s*!?\s*@\s*[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\s*$"}


def schema() -> dict[str, Any]:
    """The JSON Schema of a rule's `match`."""
    composite = {"description": "A composite set: all of its keys.", **_SET_NAME}
    return {
        "type": "object",
        "description": "All of these must hold. A value that starts with ! is negated.",
        "properties": {COMPOSITE: composite, **{key.name: key.schema() for key in KEYS.values()}},
        "patternProperties": {r"^[a-z0-9_.]+(\s*[,+.]\s+|\s*[,+]\s*)[a-z0-9_.,+\s]+$": _SET_NAME},
        "additionalProperties": False,
    }
