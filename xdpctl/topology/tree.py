"""A YAML document as a tree in which every key and value knows its line and column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ScalarValue = str | int | bool | None


@dataclass(slots=True, eq=False)
class Node:
    """Any node. Line and column count from 1. An alias is the very node of its anchor."""

    line: int
    column: int


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A key or a single value. `text` is as written, `value` what YAML 1.2 takes it for."""

    value: ScalarValue
    text: str
    plain: bool


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node]


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """A mapping; each entry keeps its key's node beside the value's."""

    entries: dict[str, tuple[Scalar, Node]]

    def get(self, key: str) -> Node | None:
        """The value under `key`, if it is there."""
        entry = self.entries.get(key)
        return entry[1] if entry else None


def plain(node: Node) -> Any:
    """The node as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {
            key: value.value if type(value) is Scalar else plain(value)
            for key, (_, value) in node.entries.items()
        }
    assert isinstance(node, Sequence)
    return [plain(item) for item in node.items]


def describe(node: Node) -> str:
    """What a node is, in words for an error message."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    assert isinstance(node, Scalar)
    return "nothing" if node.value is None else repr(node.text)
