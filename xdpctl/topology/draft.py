"""A device as its file has it, shape checked and values canonical, not expanded yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xdpctl.record import record
from xdpctl.topology.model import Device, Location, Value
from xdpctl.topology.ranges import Range
from xdpctl.topology.tree import Mapping, Node, Scalar
from xdpctl.topology.tree import Sequence as SequenceNode


@record
class Port:
    """A port as a master names it: its node, and what it has of its own."""

    node: Scalar
    properties: dict[str, Value]


@dataclass(slots=True, eq=False)
class Draft:
    """A device, or a range of them. `values` has the canonical values by canonical names."""

    file: str
    key: Scalar
    node: Mapping
    kind: str
    range: Range | None
    values: dict[str, Any]
    ports: list[Port] = field(default_factory=list)

    @property
    def location(self) -> Location:
        """Where its name stands."""
        return Location(self.file, self.key.line, self.key.column)

    def at(self, path: Sequence[str | int]) -> Location:
        """Where the value under `path` stands (its key, if it is a mapping or a list)."""
        return locate(self.file, self.key, self.node, path)


@record
class Entry:
    """A device of the topology and what it was expanded from (None: implied by a `ports:`)."""

    device: Device
    draft: Draft | None
    port_nodes: dict[str, Scalar] = field(default_factory=dict)

    def at(self, *path: str | int) -> Location:
        """Where the value under `path` stands; ("ports", NAME) is where the port is named."""
        if self.draft is None:
            return self.device.location
        if len(path) > 1 and path[0] == "ports" and path[1] in self.port_nodes:
            node = self.port_nodes[str(path[1])]
            return Location(self.draft.file, node.line, node.column)
        return self.draft.at(path)


def locate(
    file: str, key: Node, node: Node, path: Sequence[str | int], *, at_key: bool = False
) -> Location:
    """Where the node under `path` stands: a scalar itself, a mapping or list by its key.

    `at_key`: where the last key of the path stands. A path that leads nowhere ends where it does.
    """
    for part in path:
        if isinstance(node, Mapping) and part in node.entries:
            key, node = node.entries[str(part)]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
            key = node = node.items[part]
        else:
            break
    place = node if isinstance(node, Scalar) and not at_key else key
    return Location(file, place.line, place.column)
