"""vxlan: Ethernet over UDP (drivers/net/vxlan/vxlan_core.c, vxlan_nl2conf).

The lower device is IFLA_VXLAN_LINK, not IFLA_LINK. `group` and `remote` are one thing.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import (
    Enum,
    Flag,
    Presence,
    address,
    be16,
    elements,
    integer,
    shown,
    u8,
    u32,
)  # fmt: skip
from xdpctl.topology.kinds.common import PROTODOWN, QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Codec, Composite, Kind, Property

LINK, TTL, TTL_INHERIT, LABEL, LABEL_POLICY = 3, 5, 28, 26, 32


@record
class Endpoint(Composite):
    """An IPv4 or IPv6 address with an attribute each; `any` (or the zero address) for none."""

    attributes: tuple[int, ...]

    def parse(self, raw: object) -> Value:
        """An IP address or `any`."""
        if isinstance(raw, str) and raw.strip().lower() == "any":
            return "any"
        found = address(raw)
        return str(found) if int(found) else "any"

    def encode_all(self, value: Value) -> tuple[tuple[int, bytes], ...]:
        """The attribute of the address's family."""
        packed = ipaddress.ip_address("0.0.0.0" if value == "any" else str(value)).packed  # noqa: S104
        return ((self.attributes[len(packed) == 16], packed),)

    def decode_all(self, found: Mapping[int, bytes]) -> Value | None:
        """Whichever of the two is there."""
        for number in self.attributes:
            if any(found.get(number, b"")):
                return str(ipaddress.ip_address(found[number]))
        return "any"

    def schema(self) -> dict[str, Any]:
        """A string."""
        return {"type": "string", "minLength": 2}


@record
class OrInherit(Composite):
    """A number, or `inherit` from the inner packet, which is an attribute of its own.

    `flag`: that attribute is an NLA_FLAG in a request (a byte in a dump), else a 32-bit policy.
    `names` are keywords for numbers.
    """

    attributes: tuple[int, ...]
    layout: str
    high: int
    flag: bool
    names: Mapping[str, int]

    def parse(self, raw: object) -> Value:
        """A number, `inherit`, or a name."""
        word = shown(raw).strip().lower()
        if word == "inherit":
            return "inherit"
        number = self.names.get(word, integer(raw))
        if number is None or not 0 <= number <= self.high:
            names = "".join(f"{name}, " for name in self.names)
            raise ValueError(f"must be inherit, {names}or a number of 0-{self.high}, not {word}")
        return number

    def encode_all(self, value: Value) -> tuple[tuple[int, bytes], ...]:
        """The number, or that it is inherited."""
        number, policy = self.attributes
        if value == "inherit":
            return ((policy, b"" if self.flag else struct.pack("=I", 1)),)
        return ((number, struct.pack(self.layout, value)),)

    def decode_all(self, found: Mapping[int, bytes]) -> Value | None:
        """The number, unless the other attribute says inherit."""
        number, policy = self.attributes
        if policy in found and (any(found[policy]) or not found[policy]):
            return "inherit"
        if number not in found:
            return None
        return int(struct.unpack_from(self.layout, found[number])[0])

    def schema(self) -> dict[str, Any]:
        """A number or a word."""
        number = {"type": "integer", "minimum": 0, "maximum": self.high}
        return {"anyOf": [number, {"type": "string"}]}


@record
class PortRange:
    """UDP source ports, (lowest, highest), big-endian."""

    def parse(self, raw: object) -> Value:
        """`MIN MAX`, `MIN-MAX` or a list of the two."""
        found = elements(raw.replace("-", " ") if isinstance(raw, str) else raw)
        numbers = [integer(one) for one in found]
        if len(numbers) != 2 or not all(one is not None and 0 <= one <= 65535 for one in numbers):
            raise ValueError(f"must be two ports of 0-65535, not {shown(raw)}")
        low, high = (one or 0 for one in numbers)
        if low > high:
            raise ValueError(f"runs from {low} down to {high}")
        return (low, high)

    def encode(self, value: Value) -> bytes:
        """struct ifla_vxlan_port_range."""
        return struct.pack(">HH", *value)  # type: ignore[misc]

    def decode(self, payload: bytes) -> Value:
        """struct ifla_vxlan_port_range."""
        low, high = struct.unpack_from(">HH", payload)
        return (int(low), int(high))

    def schema(self) -> dict[str, Any]:
        """A string or a list of two."""
        item = {"type": ["integer", "string"]}
        pair = {"type": "array", "items": item, "minItems": 2, "maxItems": 2}
        return {"anyOf": [{"type": "string"}, pair]}


@record
class Flowlabel(OrInherit):
    """An IPv6 flow label: 20 bits, big-endian."""


def fixed(
    name: str,
    attribute: int,
    codec: Codec,
    default: Value | None,
    doc: str,
    *,
    absent: Value | None = None,
    required: bool = False,
    only_with: tuple[tuple[str, tuple[Value, ...]], ...] = (),
) -> Property:
    """A row that only delete and re-create changes."""
    unless = "external" if required else ""
    return Property(
        name, attribute, codec, Change.RECREATE, default=default, doc=doc, absent=absent,
        required=required, unless=unless, only_with=only_with,
    )  # fmt: skip


def free(
    name: str,
    attribute: int,
    codec: Codec | Composite,
    default: Value | None,
    doc: str,
    *,
    aliases: tuple[str, ...] = (),
) -> Property:
    """A row that changes in place."""
    return Property(name, attribute, codec, default=default, doc=doc, aliases=aliases)


PROPERTIES: tuple[Property, ...] = (
    fixed("id", 1, u32(0, 0xFFFFFF), None, "VNI", required=True),
    free("remote", 2, Endpoint((2, 16)), "any", "for unknown destinations", aliases=("group",)),
    free("local", 4, Endpoint((4, 17)), "any", "source address"),
    free("ttl", TTL, OrInherit((TTL, TTL_INHERIT), "=B", 255, True, {"auto": 0}), 0, "TTL"),
    free("tos", 6, u8(inherit=1), 0, "type of service"),
    free("df", 29, Enum("=B", {"unset": 0, "set": 1, "inherit": 2}), "unset", "don't fragment"),
    free("flowlabel", LABEL, Flowlabel((LABEL, LABEL_POLICY), ">I", 0xFFFFF, False, {}), 0,
        "IPv6 flow label (inherit: 6.7)"),
    fixed("dstport", 15, be16(), None, "UDP destination port"),
    fixed("srcport", 10, PortRange(), None, "UDP source ports"),
    free("learning", 7, Flag(), True, "addresses are learnt"),
    fixed("proxy", 11, Flag(), False, "answers ARP"),
    fixed("rsc", 12, Flag(), False, "route short circuit"),
    fixed("l2miss", 13, Flag(), False, "notifies of unknown MACs"),
    fixed("l3miss", 14, Flag(), False, "notifies of unknown IP addresses"),
    free("ageing", 8, u32(1), 300, "how long an address is remembered, s"),
    fixed("maxaddress", 9, u32(), 0, "most addresses, 0: no limit"),
    fixed("udpcsum", 18, Flag(), None, "checksum over IPv4"),
    fixed("udp6zerocsumtx", 19, Flag(), None, "no checksum over IPv6"),
    fixed("udp6zerocsumrx", 20, Flag(), None, "takes IPv6 without a checksum"),
    fixed("remcsumtx", 21, Flag(), False, "remote checksum offload, sent"),
    fixed("remcsumrx", 22, Flag(), False, "remote checksum offload, received"),
    fixed("external", 25, Flag(), False, "each packet brings its own tunnel"),
    fixed("gbp", 23, Presence(), False, "group policy extension", absent=False),
    fixed("gpe", 27, Presence(), False, "generic protocol extension", absent=False,
        only_with=(("external", (True,)), ("learning", (False,)))),
    fixed("vnifilter", 30, Flag(), False, "only VNIs that were added (5.18)"),
    free("localbypass", 31, Flag(), True, "local destinations skip the wire (6.5)"),
    PROTODOWN,
    *QUEUES,
)  # fmt: skip

VXLAN = Kind("vxlan", PROPERTIES, has_parent=None, doc="Ethernet over UDP")
