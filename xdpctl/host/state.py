"""The kernel's state as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from xdpctl.record import record
from xdpctl.topology.model import Value


@record
class XdpAttachment:
    """A program on a device's XDP hook (IFLA_XDP): how it runs and which program it is."""

    mode: Literal["native", "generic", "offload"]
    program_id: int


AWAY = 1 << 31
"""The bit that ifindexes do not have (they are positive), and our numbers of devices in other
namespaces do."""


@record
class Away:
    """Where a device is that lives in another network namespace than the topology.

    ifindex  the device's in there, which another one of the host may have as well
    gate     the id of the program at its tc ingress that is ours by its name (0: there is none)
    """

    netns: str
    ifindex: int
    gate: int = 0


@record
class Places:
    """Where to look for a topology's devices besides the namespace that it is in.

    topology  whose devices they are
    named     the namespaces that the file puts devices into, by the device's name
    recorded  those where devices of the topology were put before
    """

    topology: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
    recorded: frozenset[str] = frozenset()

    @property
    def namespaces(self) -> list[str]:
        """All of them."""
        return sorted(self.recorded.union(self.named.values()))


@record
class Link:
    """One network device as a link dump shows it.

    ifindex     unique within its Host: of a device in another namespace a number of ours
                with the bit AWAY, which its gate tells
    kind        IFLA_INFO_KIND, or "" for a device that has none (a NIC)
    lower       ifindex of IFLA_LINK in this namespace (None: none, or in another namespace)
    lower_elsewhere  IFLA_LINK points into another namespace (IFLA_LINK_NETNSID)
    far              the ifindex that it has there
    master      ifindex of IFLA_MASTER
    alias       ifalias; `xdpctl:<topology>` is our label
    group       IFLA_GROUP
    properties  canonical values by iproute2's name, decoded by the kind's property table;
                `mtu`, `address` and `state` ("up"/"down", the administrative state) always
    port        the port's own properties (IFLA_INFO_SLAVE_DATA), by the master kind's table
    """

    ifindex: int
    name: str
    kind: str
    properties: Mapping[str, Value]
    lower: int | None = None
    lower_elsewhere: bool = False
    far: int | None = None
    master: int | None = None
    alias: str = ""
    group: int = 0
    port: Mapping[str, Value] = field(default_factory=dict)
    xdp: XdpAttachment | None = None
    away: Away | None = None

    @property
    def netns(self) -> str:
        """The other namespace that it lives in ("": none)."""
        return self.away.netns if self.away is not None else ""


@dataclass(frozen=True)
class Host:
    """All links of one network namespace, and the topology's in others, which come last.

    places  where these were looked for
    others  what there is in those namespaces that is not the topology's: names by namespace
    """

    netns: str
    links: tuple[Link, ...]
    places: Places = field(default_factory=Places)
    others: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, Link]:
        """Links by name. One that the file puts elsewhere and that is there hides one in here."""
        return {link.name: link for link in self.links}

    @cached_property
    def by_index(self) -> dict[int, Link]:
        """Links by ifindex."""
        return {link.ifindex: link for link in self.links}
