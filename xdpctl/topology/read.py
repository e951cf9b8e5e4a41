"""One file's tree to drafts of devices and to policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from xdpctl.errors import Problem
from xdpctl.topology import leaf, ranges, rules, sets, spec
from xdpctl.topology.conditions import Sets
from xdpctl.topology.draft import Draft, Port
from xdpctl.topology.kinds import KINDS, find, port_table, table
from xdpctl.topology.model import Location, Policy, Set
from xdpctl.topology.property import Property
from xdpctl.topology.rule_nodes import PolicyNode
from xdpctl.topology.set_types import Budget
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence, describe, plain

if TYPE_CHECKING:
    from xdpctl.topology.cases import CaseDraft

_FIXED = ("kind", "parent", "deliver", "ports", "match", "netns", "xdp")
_KIND = leaf.Choice(tuple(KINDS))


@dataclass(slots=True)
class Book:
    """What all files say together.

    complete  all could be read: a name that is in none of them is unknown
    broken    devices that are named but wrong; what refers to them is not
    wrecks    what the files have under their names: it may refer to something wrong as well
    """

    problems: list[Problem]
    headers: dict[str, list[tuple[Any, Location]]] = field(default_factory=dict)
    has_devices: bool = False
    complete: bool = True
    drafts: list[Draft] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    wrecks: list[tuple[str, Mapping]] = field(default_factory=list)
    policy_nodes: dict[str, PolicyNode] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    set_places: dict[str, Location] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    cases: list[CaseDraft] = field(default_factory=list)


def read(file: str, root: Node, book: Book) -> None:
    """Adds what the file says to the book."""
    known = tuple(spec.FileSpec.model_fields)
    validated(spec.file_adapter(), Place(file, root, root, "the file", known), book.problems)
    if not isinstance(root, Mapping):
        book.complete = False
        return
    for name in ("version", "name"):
        node = root.get(name)
        if node is not None:
            value = node.value if isinstance(node, Scalar) else None
            place = Location(file, node.line, node.column)
            book.headers.setdefault(name, []).append((value, place))
    book.has_devices |= "devices" in root.entries
    for key, node in _entries("devices", root, book):
        draft = _draft(file, key, node, book.problems)
        if draft is not None:
            book.drafts.append(draft)
        else:
            book.broken.update(_names(key.text))
            if isinstance(node, Mapping):
                book.wrecks.append((file, node))
    for key, node in _entries("sets", root, book):
        _set(file, key, node, book)
    for key, node in _entries("policies", root, book):
        source = PolicyNode(file, key, node)
        first = book.policy_nodes.setdefault(key.text, source)
        if first is not source:
            message = f"policy {key.text!r} is also at {first.location}"
            book.problems.append(problem(source.location, message))
    tests = root.get("tests")
    if tests is not None:
        from xdpctl.topology import cases  # most files have none

        book.cases += cases.read(file, tests, book.problems)


def _entries(section: str, root: Mapping, book: Book) -> list[tuple[Scalar, Node]]:
    node = root.get(section)
    if isinstance(node, Mapping):
        return list(node.entries.values())
    book.complete &= node is None or (isinstance(node, Scalar) and node.value is None)
    return []


def _names(text: str) -> list[str]:
    try:
        return ranges.names(text)
    except ValueError:
        return [text]


def read_policies(book: Book) -> None:
    """Make the policies, once the sets of all files are known."""
    broken = frozenset(book.set_places.keys() - book.sets.keys())
    known = Sets(book.sets, broken, complete=book.complete)
    found = {
        name: policy
        for name, source in book.policy_nodes.items()
        if (policy := rules.policy(source, known, book.files, book.problems)) is not None
    }
    book.policies = rules.linked(found, book.policy_nodes, book.problems, complete=book.complete)


def _set(file: str, key: Scalar, node: Node, book: Book) -> None:
    name, here = key.text, Location(file, key.line, key.column)
    first = book.set_places.setdefault(name, here)
    if first is not here:
        book.problems.append(problem(here, f"set {name!r} is also at {first}"))
        return
    found = sets.Reader(book.problems, book.files, book.budget).set(file, key, node)
    if found is not None:
        book.sets[name] = found


def _draft(file: str, key: Scalar, node: Node, problems: list[Problem]) -> Draft | None:
    """The device under `key`; None if it has problems."""
    before = len(problems)
    here = Location(file, key.line, key.column)
    try:
        span = ranges.parse(key.text)
    except ValueError as error:
        problems.append(problem(here, str(error)))
        span = None
    if not isinstance(node, Mapping):
        problems.append(problem(here, f"{key.text} must be a mapping, not {describe(node)}"))
        return None
    kind = _kind(file, key, node, problems)
    if kind is None:
        return None
    node = _canonical(file, kind, node, problems)
    known = spec.device_keys(kind)
    values = validated(
        spec.device_adapter(kind), Place(file, key, node, key.text, known, kind), problems
    )
    ports = _ports(file, kind, node, problems)
    if values is None:
        return None
    _check_required(here, kind, values, problems)
    if len(problems) > before:
        return None
    return Draft(file, key, node, kind, span, values, ports)


def _kind(file: str, key: Scalar, node: Mapping, problems: list[Problem]) -> str | None:
    found = node.get("kind")
    if found is None:
        message = f"{key.text}: kind is missing ({', '.join(KINDS)})"
        problems.append(Problem(file, key.line, key.column, message))
        return None
    try:
        return _KIND.parse(found.value if isinstance(found, Scalar) else plain(found))
    except ValueError as error:
        problems.append(Problem(file, found.line, found.column, f"kind {error}"))
        return None


def _canonical(file: str, kind: str, node: Mapping, problems: list[Problem], *,
               port: bool = False) -> Mapping:  # fmt: skip
    """The mapping with each property under the table's own name for it."""
    entries: dict[str, tuple[Scalar, Node]] = {}
    for name, entry in node.entries.items():
        row = None if name in _FIXED and not port else find(kind, name, port=port)
        canonical = row.name if row else name
        if canonical in entries:
            first, key = entries[canonical][0], entry[0]
            message = f"{key.text!r} is {first.text!r} again (line {first.line})"
            problems.append(Problem(file, key.line, key.column, message))
        else:
            entries[canonical] = entry
    return Mapping(node.line, node.column, entries)


@cache
def _required(kind: str) -> tuple[Property, ...]:
    return tuple(row for row in table(kind).values() if row.required)


def _check_required(here: Location, kind: str, values: dict[str, Any],
                    problems: list[Problem]) -> None:  # fmt: skip
    if KINDS[kind].has_parent and "parent" not in values:
        problems.append(problem(here, f"parent is missing: a {kind} stands on another device"))
    problems += [
        problem(here, f"{row.name} is missing: a {kind} needs it ({row.doc})")
        for row in _required(kind)
        if row.name not in values and not values.get(row.unless)
    ]


def _ports(file: str, kind: str, node: Mapping, problems: list[Problem]) -> list[Port]:
    """The ports, from any of the ways to write them."""
    ports = node.get("ports")
    if ports is None or not KINDS[kind].has_ports:
        return []
    found: list[Port] = []
    for item in ports.items if isinstance(ports, Sequence) else [ports]:
        if isinstance(item, Mapping):
            for key, value in item.entries.values():
                found.append(Port(key, _port_values(file, kind, key, value, problems)))
        elif isinstance(item, Scalar) and isinstance(ports, Sequence) and item.text:
            _check_text(file, item, problems)
            found.append(Port(item, {}))
        else:
            what = "must be a list of devices" if item is ports else "must be a device's name"
            message = f"ports {what}, not {describe(item)}"
            problems.append(Problem(file, item.line, item.column, message))
    return found


def _check_text(file: str, item: Scalar, problems: list[Problem]) -> None:
    try:
        leaf.REFERENCE.parse(item.value)
    except ValueError as error:
        problems.append(Problem(file, item.line, item.column, f"port {error}"))


def _port_values(
    file: str, kind: str, key: Scalar, node: Node, problems: list[Problem]
) -> dict[str, Any]:
    """What a port has of its own; nothing under its name means nothing."""
    if isinstance(node, Scalar) and node.value is None:
        return {}
    if isinstance(node, Mapping):
        node = _canonical(file, kind, node, problems, port=True)
    known = tuple(port_table(kind))
    place = Place(file, key, node, key.text, known)
    return validated(spec.port_adapter(kind), place, problems) or {}
