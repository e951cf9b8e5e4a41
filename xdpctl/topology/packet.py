"""The fields of a test's packet: one table. Spelled as the match keys, named values as theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from xdpctl.record import record
from xdpctl.topology import key_names as names
from xdpctl.topology import leaf
from xdpctl.topology.address import address
from xdpctl.topology.codecs import Mac, elements, integer, nearest, shown
from xdpctl.topology.kinds.vlan import PROTOCOLS
from xdpctl.topology.model import Tag
from xdpctl.topology.spec import By, Reader

SHORTEST, LONGEST = 14, 16_000
"""Bytes of a frame: an Ethernet header; four pages less what the kernel keeps beside a packet
(BPF_SKB_MAX_LEN), which is what a test run can be brought to take."""

L3, L4, FLAGS = names.L3, names.L4, names.TCP_FLAGS
GROUPS = {"broadcast": "ff:ff:ff:ff:ff:ff", "multicast": "01:00:5e:00:00:01"}


@record
class Number:
    """A number up to `high`, or one of its names."""

    high: int
    names: Mapping[str, int] = field(default_factory=dict)
    low: int = 0

    def parse(self, raw: object) -> int:
        """The number."""
        number = self.names.get(raw) if isinstance(raw, str) else None
        number = integer(raw) if number is None else number
        if number is None or not self.low <= number <= self.high:
            named = " or a name" if self.names else ""
            hint = nearest(raw, self.names) if isinstance(raw, str) else ""
            limits = f"a number of {self.low}-{self.high}{named}"
            raise ValueError(f"must be {limits}, not {shown(raw) or 'nothing'}{hint}")
        return number

    def schema(self) -> dict[str, Any]:
        """A number, or text."""
        number = {"type": "integer", "minimum": self.low, "maximum": self.high}
        names = [{"enum": list(self.names)}] if self.names else []
        return {"anyOf": [number, *names, {"type": "string", "pattern": "^(0x)?[0-9a-fA-F]+$"}]}


@record
class AnyMac:
    """A MAC address, of a group as well, or the name of one."""

    def parse(self, raw: object) -> str:
        """Six bytes with colons."""
        named = GROUPS.get(raw) if isinstance(raw, str) else None
        return named or str(Mac(unicast=False).parse(raw))

    def schema(self) -> dict[str, Any]:
        """A pattern, or a name."""
        return {"anyOf": [Mac().schema(), {"enum": list(GROUPS)}]}


@record
class Ip:
    """An address of this version of IP."""

    version: int

    def parse(self, raw: object) -> str:
        """The usual spelling."""
        return str(address(raw, self.version))

    def schema(self) -> dict[str, Any]:
        """Text."""
        return {"type": "string", "minLength": 2}


@record
class TcpFlags:
    """TCP's flags: `syn,ack`, or a list; `none`, or the byte as a number."""

    def parse(self, raw: object) -> int:
        """The byte that they make up."""
        plain = integer(raw)
        if raw == "none" or plain is not None:
            return Number(255).parse(plain or 0)
        number = 0
        for one in elements(raw):
            if not isinstance(one, str) or one not in FLAGS:
                hint = nearest(one, FLAGS) if isinstance(one, str) else ""
                raise ValueError(f"must be some of {', '.join(FLAGS)}, not {shown(one)}{hint}")
            number |= FLAGS[one]
        return number

    def schema(self) -> dict[str, Any]:
        """Text, or a list of names."""
        several = {"type": "array", "items": {"enum": list(FLAGS)}}
        return {"anyOf": [{"type": "string"}, several, Number(255).schema()]}


@record
class Hex:
    """Bytes in hexadecimal; blanks and colons between them are free."""

    low: int = 0
    high: int = LONGEST

    def parse(self, raw: object) -> bytes:
        """The bytes."""
        if isinstance(raw, int) and not isinstance(raw, bool):
            raise ValueError("must be quoted: YAML takes it for a number")  # noqa: TRY004
        digits = re.sub(r"[\s:]", "", raw) if isinstance(raw, str) else "?"
        wrong = re.search(r"[^0-9a-fA-F]", digits)
        if wrong is not None:
            found = shown(raw) if digits == "?" else repr(wrong[0])
            raise ValueError(f"must be hexadecimal digits, not {found}")
        if len(digits) % 2:
            raise ValueError(f"must be whole bytes, but has {len(digits)} digits")
        if not self.low <= len(digits) // 2 <= self.high:
            raise ValueError(f"must be of {self.low}-{self.high} bytes, not {len(digits) // 2}")
        return bytes.fromhex(digits)

    def schema(self) -> dict[str, Any]:
        """A pattern."""
        return {"type": "string", "pattern": r"^[0-9a-fA-F\s:]*$"}


@record
class Payload:
    """What follows the last header: text, or `{hex: …}`."""

    def parse(self, raw: object) -> bytes:
        """The bytes (text as UTF-8)."""
        if isinstance(raw, Mapping) and set(raw) == {"hex"}:
            return Hex(high=LONGEST - 200).parse(raw["hex"])
        if not isinstance(raw, str) or len(raw.encode()) > LONGEST - 200:
            raise ValueError(f"must be text or {{hex: …}}, not {shown(raw)[:40]}")
        return raw.encode()

    def schema(self) -> dict[str, Any]:
        """Text, or a mapping."""
        inner = {"hex": Hex().schema()}
        either = {"type": "object", "properties": inner, "required": ["hex"]}
        return {"anyOf": [{"type": "string"}, either | {"additionalProperties": False}]}


TAG: dict[str, Reader] = {
    "id": Number(4095),
    "pcp": Number(7),
    "protocol": Number(0xFFFF, PROTOCOLS),
    "inner_id": Number(4095),
}


@record
class Tags:
    """VLAN tags: an id, `{id, pcp, protocol}`, `none`, or a list, outermost first.

    `inner_id` is another way to write a second tag.
    """

    def parse(self, raw: object) -> tuple[Tag, ...]:
        """The tags."""
        if raw == "none":
            return ()
        tags = [self._tags(one) for one in (raw if isinstance(raw, list) else [raw])]
        return tuple(tag for several in tags for tag in several)

    def _tags(self, raw: object) -> list[Tag]:
        given = raw if isinstance(raw, Mapping) else {"id": raw}
        unknown = [str(key) for key in given if key not in TAG]
        if unknown:
            raise ValueError(f"has an unknown key {unknown[0]!r}{leaf.guess(unknown[0], (*TAG,))}")
        if "id" not in given:
            raise ValueError("has no id")
        fields = {key: _named(key, TAG[key], value) for key, value in given.items()}
        inner = fields.pop("inner_id", None)
        return [Tag(**fields), *([Tag(inner)] if inner is not None else [])]

    def schema(self) -> dict[str, Any]:
        """One, or a list."""
        inner = {key: reader.schema() for key, reader in TAG.items()}
        mapping = {"type": "object", "properties": inner, "required": ["id"]}
        one = {"anyOf": [TAG["id"].schema(), mapping | {"additionalProperties": False}]}
        return {"anyOf": [one, {"const": "none"}, {"type": "array", "items": one}]}


def _named(key: str, reader: Reader, raw: object) -> Any:
    try:
        return reader.parse(raw)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from None


_PORT = Number(65535, names.SERVICES)
_FRAG = leaf.Choice(("none", "first", "later"))
_PORTS = {"sport": By(_PORT, "Source port."), "dport": By(_PORT, "Destination port.")}


def _ip(version: int, proto: str, ttl: str) -> dict[str, By]:
    protocols = L4 if version == 4 else names.NEXT_HEADERS
    return {
        "saddr": By(Ip(version), "Source address."),
        "daddr": By(Ip(version), "Destination address."),
        proto: By(Number(255, protocols), "The protocol that follows."),
        "dscp": By(Number(63, names.DSCP), "Differentiated services code point."),
        ttl: By(Number(255), "Hops left."),
        "frag": By(_FRAG, "first or later: a fragment; a later one has no transport header."),
    }


LAYERS: dict[str, dict[str, By]] = {
    "ether": {
        "saddr": By(AnyMac(), "Source address."),
        "daddr": By(AnyMac(), "Destination address; left out: that of `to`."),
        "type": By(Number(0xFFFF, L3), "Type, behind any VLAN tags."),
    },
    "arp": {
        "op": By(Number(0xFFFF, names.ARP_OPERATIONS), "What is asked."),
        "sha": By(AnyMac(), "Sender's MAC."),
        "spa": By(Ip(4), "Sender's address."),
        "tha": By(AnyMac(), "Target's MAC."),
        "tpa": By(Ip(4), "Target's address."),
    },
    "ip4": _ip(4, "proto", "ttl"),
    "ip6": _ip(6, "nexthdr", "hoplimit"),
    "tcp": _PORTS | {"flags": By(TcpFlags(), "Flags; left out: syn.")},
    "udp": _PORTS,
    "sctp": _PORTS,
    "icmp": {
        "type": By(Number(255, names.ICMP_TYPES), "Type; left out: echo-request."),
        "code": By(Number(255, names.ICMP_CODES), "Code."),
    },
    "icmpv6": {
        "type": By(Number(255, names.ICMPV6_TYPES), "Type; left out: echo-request."),
        "code": By(Number(255, names.ICMPV6_CODES), "Code."),
    },
}
"""The fields of each layer."""

NESTED = (*LAYERS, "vlan")
"""What may be written as `layer.field`."""

NETWORK, TRANSPORT = ("arp", "ip4", "ip6"), ("tcp", "udp", "sctp", "icmp", "icmpv6")

WHOLE: dict[str, By] = {
    "to": By(leaf.REFERENCE, "The device that the frame is for."),
    "in": By(leaf.REFERENCE, "The root that it comes in by."),
    "hex": By(Hex(SHORTEST), "The whole frame, byte by byte."),
    "pcap": By(leaf.PLAIN_TEXT, "A capture file (pcap or pcapng), beside this file."),
    "index": By(Number((1 << 31) - 1), "Which frame of the capture, from 0."),
    "vlan": By(Tags(), "VLAN tags; left out: those that the way to `to` needs."),
    "payload": By(Payload(), "What follows the last header."),
    "length": By(Number(LONGEST, low=SHORTEST), "Bytes of the whole frame: cut, or filled up."),
}
"""The other keys of a packet."""
