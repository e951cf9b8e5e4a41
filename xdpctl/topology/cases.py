"""The `tests:` of the files: packets, and what must become of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Required

from pydantic import TypeAdapter

from xdpctl.errors import Problem
from xdpctl.record import record
from xdpctl.topology import leaf, packet, spec
from xdpctl.topology.codecs import integer, shown
from xdpctl.topology.draft import locate
from xdpctl.topology.model import Location
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence

KEYS = ("name", "packet", "expect")
NAME = leaf.Text(
    r"[^\s\x00-\x1f](?:[^\x00-\x1f]{0,198}[^\s\x00-\x1f])?",
    "1-200 characters of text",
    numbers=True,
)
VERDICTS = ("pass", "drop", "tx", "redirect")


@record
class RuleName:
    """A rule by its name, by its number from 1, or what decides where no rule does."""

    def parse(self, raw: object) -> str:
        """Name or number as text."""
        number = integer(raw)
        if number is not None and number > 0:
            return str(number)
        if isinstance(raw, str) and raw.strip():
            return raw
        raise ValueError(f"must be a rule's name, its number from 1, or default, not {shown(raw)}")

    def schema(self) -> dict[str, Any]:
        """A number or text."""
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "minLength": 1}]}


EXPECT: dict[str, spec.By] = {
    "verdict": spec.By(leaf.Choice(VERDICTS), "What becomes of the packet."),
    "at": spec.By(leaf.REFERENCE, "The device whose stage decided."),
    "rule": spec.By(RuleName(), "The rule that decided: name, number from 1, or default."),
    "redirect": spec.By(
        leaf.PLAIN_TEXT, "The device that it is redirected to, or the name of userspace."
    ),
    "bytes": spec.By(packet.Hex(packet.SHORTEST), "The whole frame as it comes out."),
}


@dataclass(slots=True, eq=False)
class CaseDraft:
    """A test as its file has it, its shape checked."""

    file: str
    node: Node
    name: str
    packet: dict[str, Any]
    expect: dict[str, Any]

    def at(self, *path: str) -> Location:
        """Where the value under `path` stands."""
        return locate(self.file, self.node, self.node, path)


@cache
def adapter() -> TypeAdapter[dict[str, Any]]:
    """Validates one test."""
    fields = _annotated(packet.WHOLE)
    fields |= {
        layer: spec.mapping(f"packet-{layer}", _annotated(rows))
        for layer, rows in packet.LAYERS.items()
    }
    test = {
        **_annotated({"name": spec.By(NAME, "What it is called.")}),
        "packet": Required[spec.mapping("packet", fields)],
        "expect": Required[spec.mapping("expect", _annotated(EXPECT))],
    }
    return spec.adapter("test", test)


def _annotated(rows: dict[str, spec.By]) -> dict[str, Any]:
    annotate: Any = Annotated
    return {name: annotate[Any, row] for name, row in rows.items()}


def read(file: str, node: Node | None, problems: list[Problem]) -> Iterator[CaseDraft]:
    """The tests of one file that have the right shape."""
    items = node.items if isinstance(node, Sequence) else []
    for number, item in enumerate(items, 1):
        name = f"test {number}"
        undotted = _undotted(file, item, problems)
        place = Place(file, item, undotted, name, KEYS)
        found = validated(adapter(), place, problems)
        if found is not None:
            name = found.get("name", name)
            yield CaseDraft(file, undotted, name, found["packet"], found["expect"])


def _undotted(file: str, item: Node, problems: list[Problem]) -> Node:
    """The test with `tcp.dport: 443` written as `tcp: {dport: 443}`, and `tcp:` as `tcp: {}`."""
    sent = item.get("packet") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(sent, Mapping):
        return item
    entries: dict[str, tuple[Scalar, Node]] = {}
    for name, (key, value) in sent.entries.items():
        layer, dot, last = name.partition(".")
        within = value.entries if isinstance(value, Mapping) else {}
        more = {last: (key, value)} if dot else within
        first, known = entries.get(layer, (key, Mapping(key.line, key.column, {})))
        fields = dot or isinstance(value, Mapping) or _is_nothing(value)
        if not (layer in packet.NESTED and fields and isinstance(known, Mapping)):
            entries[name] = (key, value)
            continue
        _merge(file, known, more, problems)
        entries[layer] = (first, known)
    written = Mapping(sent.line, sent.column, entries)
    key = item.entries["packet"][0]
    return Mapping(item.line, item.column, item.entries | {"packet": (key, written)})


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _merge(
    file: str, known: Mapping, more: dict[str, tuple[Scalar, Node]], problems: list[Problem]
) -> None:
    for name, (key, value) in more.items():
        if name in known.entries:
            where = Location(file, key.line, key.column)
            problems.append(problem(where, f"{key.text!r} is here twice"))
        known.entries[name] = (key, value)
