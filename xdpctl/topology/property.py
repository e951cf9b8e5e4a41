"""What a property of a device kind is: one row of a kind's table.

A row serves the loader (parse), the JSON Schema (schema), the reader of link dumps (decode),
the writer of netlink messages (encode), the diff (change, default) and the docs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from xdpctl.record import record
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
    OPTION = "not there: an option of the netlink family of its kind (team)"
    PORT_OPTION = "not there: such an option, of a port"


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


class Composite(ABC):
    """The codec of a property that several attributes of one level stand for.

    (vxlan `remote`: one attribute for IPv4, another for IPv6; `ttl`: a number and a flag.)
    `attributes`: the numbers of all that the property may take.
    """

    __slots__ = ()

    attributes: tuple[int, ...]

    @abstractmethod
    def parse(self, raw: object) -> Value:
        """As `Codec.parse`."""

    @abstractmethod
    def encode_all(self, value: Value) -> tuple[tuple[int, bytes], ...]:
        """The attributes to send, as (number, payload)."""

    @abstractmethod
    def decode_all(self, found: Mapping[int, bytes]) -> Value | None:
        """The canonical value of a level's attributes; None: they do not tell."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """As `Codec.schema`."""


@record
class Property:
    """One row: iproute2's `name`, the attribute's number and place, codec, default, change rule.
    (The place OPTION: the kernel's own name, and the number is that of its type.)

    default    what the kernel has when nobody says anything (None: it depends, never assumed)
    absent     what a dump without the attribute means (None: it does not tell)
    recreate   values that are reached and left by delete and re-create only, whatever `change` says
    aliases    other names for the same thing (`num_unsol_na` is `num_grat_arp`)
    required   a device of the kind cannot be without it, `unless` that flag of it is on
    compared   False: set at creation only; whoever opens the device afterwards may change it
    shared     one value for all devices on the same lower device (macvlan's bclim is its port's)
    drags      the kernel moves these too when this one changes: send the wanted ones along
    only_with  the kernel takes it only while the named property (of a port: its master's) has one
               of the values
    conflicts  properties that the kernel refuses beside it (unless one of the two is zero)
    """

    name: str
    attribute: int
    codec: Codec | Composite
    change: Change = Change.IN_PLACE
    place: Place = Place.DATA
    default: Value | None = None
    doc: str = ""
    absent: Value | None = None
    recreate: frozenset[Value] = frozenset()
    aliases: tuple[str, ...] = ()
    required: bool = False
    unless: str = ""
    compared: bool = True
    shared: bool = False
    drags: tuple[str, ...] = ()
    only_with: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    conflicts: tuple[str, ...] = ()

    def same(self, wanted: Value, live: Value | None) -> bool:
        """Whether the kernel's value is the wanted one, as nearly as the kernel can hold it."""
        if wanted == live:
            return True
        same = getattr(self.codec, "same", None)
        return bool(same is not None and live is not None and same(wanted, live))

    def change_for(self, before: Value | None, after: Value) -> Change:
        """How the kernel lets this very change happen."""
        if before in self.recreate or after in self.recreate:
            return Change.RECREATE
        return self.change


@record
class Kind:
    """A device kind: the kernel's name for it, its table, and what may stand below it.

    has_parent   True: `parent` is required; False: refused; None: optional (vxlan `dev`)
    has_ports    takes `ports:` (bond, bridge)
    rx_handler   puts an rx_handler on its lower device(s): one such per lower device
    movable      takes `netns:`: the kernel moves it between network namespaces
    delivers     frames may be redirected into it (`deliver:`), those of its `parent` then
    """

    name: str
    properties: tuple[Property, ...]
    has_parent: bool | None = False
    has_ports: bool = False
    rx_handler: bool = False
    movable: bool = False
    delivers: bool = False
    port_properties: tuple[Property, ...] = ()
    doc: str = ""
