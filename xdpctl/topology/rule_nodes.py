"""A policy as its file has it, and where its parts stand."""

from __future__ import annotations

from xdpctl.record import record
from xdpctl.topology.draft import locate
from xdpctl.topology.model import Location
from xdpctl.topology.tree import Mapping as MappingNode
from xdpctl.topology.tree import Node, Scalar
from xdpctl.topology.tree import Sequence as SequenceNode


@record
class PolicyNode:
    """A policy as its file has it."""

    file: str
    key: Scalar
    node: Node

    @property
    def location(self) -> Location:
        """Where its name stands."""
        return Location(self.file, self.key.line, self.key.column)

    def at_rule(self, index: int, *path: str) -> Location:
        """Where something of the rule of this index (from 0) stands."""
        return locate(self.file, self.key, self.node, ("rules", index, *path))

    def rule_node(self, index: int, *path: str) -> Node | None:
        """Something of the rule of this index, if it is there."""
        node: Node | None = rule_nodes(self.node)[index]
        for part in path:
            node = node.get(part) if isinstance(node, MappingNode) else None
        return node


def rule_nodes(node: Node) -> list[Node]:
    """The rules of a policy."""
    rules = node.get("rules") if isinstance(node, MappingNode) else None
    return rules.items if isinstance(rules, SequenceNode) else []
