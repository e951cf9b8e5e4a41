"""vlan: an 802.1Q or 802.1ad tag as a device (net/8021q)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import Bit, Enum, each, elements, integer, shown, u16
from xdpctl.topology.kinds.common import QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Kind, Property

PROTOCOLS = {"802.1Q": 0x8100, "802.1ad": 0x88A8}
ID, FLAGS, EGRESS_QOS, INGRESS_QOS, PROTOCOL = 1, 2, 3, 4, 5
QOS_MAPPING = 1


@record
class QosMap:
    """Pairs of priorities, sorted by the first; a pair to 0 is none, as 0 is what is not mapped.

    `highest` bounds both halves: the VLAN's PCP has 3 bits, the other half is an skb priority.
    The kernel merges a map that it is sent into the one it has: what is gone is sent as 0.
    """

    highest: tuple[int, int]

    def parse(self, raw: object) -> Value:
        """`0:1 2:3`, a list of such, or a mapping."""
        if isinstance(raw, Mapping):
            halves = [(one, other) for one, other in raw.items()]
        else:
            halves = [pair(one) for one in elements(raw)]
        found: dict[int, int] = {}
        for one, other in halves:
            numbers = integer(one), integer(other)
            for number, high in zip(numbers, self.highest, strict=True):
                if number is None or not 0 <= number <= high:
                    limits = f"FROM of 0-{self.highest[0]}, TO of 0-{self.highest[1]}"
                    raise ValueError(f"must map {limits}, not {shown(one)}:{shown(other)}")
            if numbers[0] in found:
                raise ValueError(f"maps {numbers[0]} twice")
            found[numbers[0] or 0] = numbers[1] or 0
        return tuple(sorted((one, other) for one, other in found.items() if other))

    def encode(self, value: Value) -> bytes:
        """A nest of IFLA_VLAN_QOS_MAPPING."""
        return b"".join(struct.pack("=HHII", 12, QOS_MAPPING, *each(one)) for one in each(value))

    def decode(self, payload: bytes) -> Value:
        """The pairs of the nest that are not to 0."""
        pairs = [struct.unpack_from("=II", payload, at + 4) for at in range(0, len(payload), 12)]
        return tuple(sorted((int(one), int(other)) for one, other in pairs if other))

    def merge(self, before: Value, after: Value) -> Value:
        """What to send so that `before` becomes `after`."""
        wanted: dict[Value, Value] = {each(one)[0]: each(one)[1] for one in each(after)}
        gone = {each(one)[0]: 0 for one in each(before) if each(one)[0] not in wanted}
        return tuple((gone | wanted).items())

    def schema(self) -> dict[str, Any]:
        """A string, a list of strings, or a mapping."""
        text = {"type": "string"}
        number = {"type": ["integer", "string"]}
        items = {"type": "array", "items": text}
        return {"anyOf": [text, items, {"type": "object", "additionalProperties": number}]}


def pair(raw: object) -> tuple[object, object]:
    """The halves of FROM:TO, or of a list of the two."""
    if isinstance(raw, list | tuple) and len(raw) == 2:
        return raw[0], raw[1]
    one, colon, other = str(raw).partition(":")
    if not colon:
        raise ValueError(f"must be FROM:TO, not {shown(raw)}")
    return one, other


def flag(name: str, mask: int, default: bool, doc: str) -> Property:
    """A bit of IFLA_VLAN_FLAGS."""
    return Property(name, FLAGS, Bit(mask), default=default, doc=doc)


VLAN = Kind(
    "vlan",
    (
        Property("id", ID, u16(0, 4094), Change.RECREATE, required=True, doc="VLAN ID"),
        Property(
            "protocol",
            PROTOCOL,
            Enum(">H", PROTOCOLS),
            Change.RECREATE,
            default="802.1Q",
            doc="the tag's Ethernet type",
        ),
        flag("reorder_hdr", 0x1, True, "the tag is taken off what is received"),
        flag("gvrp", 0x2, False, "registered by GVRP"),
        flag("mvrp", 0x8, False, "registered by MVRP"),
        flag("loose_binding", 0x4, False, "stays up when the parent goes down"),
        flag("bridge_binding", 0x10, False, "its carrier follows the bridge's ports in the VLAN"),
        Property(
            "ingress-qos-map", INGRESS_QOS, QosMap((7, 0xFFFFFFFF)), default=(), absent=(),
            doc="VLAN priority to skb priority",
        ),
        Property(
            "egress-qos-map", EGRESS_QOS, QosMap((0xFFFFFFFF, 7)), default=(), absent=(),
            doc="skb priority to VLAN priority",
        ),
        *QUEUES,
    ),
    has_parent=True,
    movable=True,
    doc="the frames of one VLAN tag",
)  # fmt: skip
