"""Holds a node against a pydantic model; each of its errors becomes a located problem."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from xdpctl.errors import Problem
from xdpctl.record import record
from xdpctl.topology import leaf, spec
from xdpctl.topology.draft import locate
from xdpctl.topology.kinds import KINDS, find
from xdpctl.topology.model import Location
from xdpctl.topology.tree import Mapping, Node, Sequence, describe, plain

_WANTED = {"model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list"}


@record
class Place:
    """A node and the key it stands under, in a file.

    what   what the node is called in a message
    known  the keys that it may have
    kind   the device kind whose properties these are
    """

    file: str
    key: Node
    node: Node
    what: str
    known: tuple[str, ...]
    kind: str = ""


def problem(location: Location, message: str) -> Problem:
    """A problem there."""
    return Problem(location.file, location.line, location.column, message)


def validated(adapter: TypeAdapter[Any], place: Place, problems: list[Problem]) -> Any:
    """What the adapter makes of the node; None if it has problems with it."""
    try:
        return adapter.validate_python(plain(place.node))
    except ValidationError as error:
        problems += [
            _located(place, one["loc"], one["ctx"]["error"])
            if isinstance(one.get("ctx", {}).get("error"), leaf.Inside)
            else _translated(place, one["type"], one["loc"], one["msg"])
            for one in error.errors(include_url=False, include_input=False)
        ]
    return None


def _located(place: Place, loc: tuple[str | int, ...], error: leaf.Inside) -> Problem:
    path = [*loc, *error.path]
    where = locate(place.file, place.key, place.node, path, at_key=error.at_key)
    return problem(where, str(error))


def _translated(place: Place, kind: str, loc: tuple[str | int, ...], message: str) -> Problem:
    def at(path: Iterable[str | int], *, key: bool = False) -> Location:
        return locate(place.file, place.key, place.node, [*path], at_key=key)

    if kind == "extra_forbidden":
        return problem(at(loc, key=True), _unknown(place, loc))
    if kind == "missing":
        return problem(at(loc[:-1], key=True), f"{_subject(place, loc[:-1])}has no {loc[-1]}")
    if kind in _WANTED:
        found = describe(_node(place.node, loc))
        return problem(at(loc), f"{_subject(place, loc)}must be {_WANTED[kind]}, not {found}")
    return problem(at(loc), f"{_subject(place, loc)}{message.removeprefix('Value error, ')}")


def _unknown(place: Place, loc: tuple[str | int, ...]) -> str:
    """An unknown key: whose it may be, or what it may be meant for."""
    key = _spelled(place, loc)
    elsewhere = kinds_with(key) if place.kind and len(loc) == 1 else []
    if elsewhere:
        return f"a {place.kind} has no {key} (it is for {', '.join(elsewhere)})"
    return f"unknown key {key!r}{leaf.guess(str(loc[-1]), _known(place, loc[:-1]))}"


@cache
def kinds_with(key: str) -> list[str]:
    """The kinds whose devices have such a key."""
    fixed = {kind: spec.device_keys(kind) for kind in KINDS}
    return [name for name, keys in fixed.items() if key in keys or find(name, key)]


def _known(place: Place, loc: tuple[str | int, ...]) -> tuple[str, ...]:
    known = sections()
    named = [part for part in loc if isinstance(part, str) and part in known]
    return known[named[-1]] if named else place.known


@cache
def sections() -> dict[str, tuple[str, ...]]:
    """The keys of what may stand below a device, a policy or a test."""
    from xdpctl.topology import packet  # read for a test, or a mistake

    return {
        "xdp": tuple(spec.XdpSpec.model_fields),
        "match": tuple(spec.MatchSpec.model_fields),
        "rules": tuple(spec.RuleSpec.model_fields),
        "packet": (*packet.WHOLE, *packet.LAYERS),
        "expect": ("verdict", "at", "rule", "redirect", "bytes"),
        **{layer: tuple(rows) for layer, rows in packet.LAYERS.items()},
    }


def _subject(place: Place, loc: tuple[str | int, ...]) -> str:
    """What the sentence is about: the key, or the rule's number."""
    if not loc:
        return f"{place.what} "
    if isinstance(loc[-1], int):
        return f"rule {loc[-1] + 1} "
    return f"{loc[-1]} "


def _spelled(place: Place, loc: tuple[str | int, ...]) -> str:
    """The last key of the path as the user wrote it."""
    parent = _node(place.node, loc[:-1])
    if isinstance(parent, Mapping) and loc[-1] in parent.entries:
        return parent.entries[str(loc[-1])][0].text
    return str(loc[-1])


def _node(node: Node, loc: tuple[str | int, ...]) -> Node:
    for part in loc:
        if isinstance(node, Mapping) and part in node.entries:
            node = node.entries[str(part)][1]
        elif isinstance(node, Sequence) and isinstance(part, int):
            node = node.items[part]
    return node
