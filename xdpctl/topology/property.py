"""What a property of a device kind is: one row of a kind's table.

A row serves the loader (parse), the JSON Schema (schema), the reader of link dumps (decode),
the writer of netlink messages (encode), the diff (change, default) and the docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from xdpctl.topology.model import Value


class Change(Enum):
    """How the kernel lets a property of an existing device change."""

    IN_PLACE = "in place"
    DOWN = "only while the device is down"
    NO_PORTS = "only without ports"
    DOWN_NO_PORTS = "only while down and without ports"
    RECREATE = "only by delete and re-create"


class Place(Enum):
    """Where the property's attribute stands in an RTM_NEWLINK message."""

    HEADER = "ifinfomsg flags"
    LINK = "IFLA_*"
    DATA = "IFLA_LINKINFO / IFLA_INFO_DATA"
    PORT = "IFLA_LINKINFO / IFLA_INFO_SLAVE_DATA"


class Codec(Protocol):
    """Turns a property between YAML, the canonical value and the kernel's bytes."""

    def parse(self, raw: object) -> Value:
        """The canonical value of what YAML gave; raises ValueError with a sentence for the user."""

    def encode(self, value: Value) -> bytes:
        """The payload of the netlink attribute."""

    def decode(self, payload: bytes) -> Value:
        """The canonical value of a netlink attribute's payload."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft-7) of what `parse` takes."""


@dataclass(frozen=True, slots=True)
class Property:
    """One row: iproute2's `name`, the attribute's number and place, codec, default, change rule.

    `default` is what the kernel has when nobody says anything (None: it depends, never assumed).
    """

    name: str
    attribute: int
    codec: Codec
    change: Change = Change.IN_PLACE
    place: Place = Place.DATA
    default: Value | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A device kind: the kernel's name for it, its table, and what may stand below it.

    has_parent   True: `parent` is required; False: refused; None: optional (vxlan `dev`)
    has_ports    takes `ports:` (bond, bridge)
    rx_handler   puts an rx_handler on its lower device(s): one such per lower device
    """

    name: str
    properties: tuple[Property, ...]
    has_parent: bool | None = False
    has_ports: bool = False
    rx_handler: bool = False
    port_properties: tuple[Property, ...] = ()
    doc: str = ""
