"""The kernel's state as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from xdpctl.topology.model import Value


@dataclass(frozen=True, slots=True)
class XdpAttachment:
    """A program on a device's XDP hook (IFLA_XDP): how it runs and which program it is."""

    mode: Literal["native", "generic", "offload"]
    program_id: int


@dataclass(frozen=True, slots=True)
class Link:
    """One network device as a link dump shows it.

    kind        IFLA_INFO_KIND, or "" for a device that has none (a NIC)
    lower       ifindex of IFLA_LINK in this namespace (None: none, or in another namespace)
    lower_elsewhere  IFLA_LINK points into another namespace (IFLA_LINK_NETNSID)
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
    master: int | None = None
    alias: str = ""
    group: int = 0
    port: Mapping[str, Value] = field(default_factory=dict)
    xdp: XdpAttachment | None = None


@dataclass(frozen=True)
class Host:
    """All links of one network namespace."""

    netns: str
    links: tuple[Link, ...]

    @cached_property
    def by_name(self) -> dict[str, Link]:
        """Links by name."""
        return {link.name: link for link in self.links}

    @cached_property
    def by_index(self) -> dict[int, Link]:
        """Links by ifindex."""
        return {link.ifindex: link for link in self.links}
