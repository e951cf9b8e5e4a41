"""Properties that the kernel takes only together with others, by the tables of the kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.codecs import Presence
from xdpctl.topology.draft import Entry
from xdpctl.topology.kinds import port_table, table
from xdpctl.topology.model import Value
from xdpctl.topology.property import Property


def check(stack: Stack) -> Iterator[Finding]:
    """`only_with`, `conflicts` and `shared` of every row that the file names."""
    for entry in stack:
        rows, given = table(entry.device.kind), entry.device.properties
        for row in _choosy(entry.device.kind):
            if row.name in given:
                yield from _only_with(entry, rows, row)
                yield from _conflicts(entry, row)
        for port, own in entry.device.port_properties.items():
            yield from _of_port(entry, rows, port, own)
    for lower, uppers in stack.uppers.items():
        yield from _shared(lower, uppers)


def _shared(lower: str, uppers: Iterable[Entry]) -> Iterator[Finding]:
    """What all devices on one have in common, as it is kept at that one."""
    first: dict[str, Entry] = {}
    for entry in uppers:
        given = entry.device.properties
        for name in _common(entry.device.kind):
            if name not in given:
                continue
            other = first.setdefault(name, entry).device
            if other.properties[name] != given[name]:
                has = _word(other.properties[name])
                message = f"{name} is one for all devices on {lower}, and {other.name} has {has}"
                yield entry, (name,), message


@cache
def _common(kind: str) -> tuple[str, ...]:
    return tuple(row.name for row in table(kind).values() if row.shared)


@cache
def _choosy(kind: str) -> tuple[Property, ...]:
    """The rows that do not go with everything."""
    return tuple(row for row in table(kind).values() if row.only_with or row.conflicts)


def _of_port(
    entry: Entry, rows: dict[str, Property], port: str, own: Mapping[str, Value]
) -> Iterator[Finding]:
    """What a port has of its own, beside what its master has; a default asks for nothing."""
    for name, value in own.items():
        row = port_table(entry.device.kind)[name]
        for other, allowed in row.only_with:
            has = entry.device.properties.get(other, rows[other].default)
            if has not in allowed and value != row.default:
                wanted = " or ".join(_word(one) for one in allowed)
                message = f"{name} of {port} needs {other} {wanted}, but {other} is {_word(has)}"
                yield entry, ("ports", port), message


def _only_with(entry: Entry, rows: dict[str, Property], row: Property) -> Iterator[Finding]:
    """An empty list asks for nothing."""
    given = entry.device.properties
    for other, allowed in row.only_with:
        value = given.get(other, rows[other].default)
        if value in allowed or given[row.name] == () or _cannot_be_sent(row, given[row.name]):
            continue
        wanted = " or ".join(_word(one) for one in allowed)
        message = f"{row.name} needs {other} {wanted}, but {other} is {_word(value)}"
        yield entry, (row.name,), message


def _cannot_be_sent(row: Property, value: Value) -> bool:
    """A flag that is on by being there, and off."""
    return isinstance(row.codec, Presence) and value is False


def _word(value: Value | None) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "left out" if value is None else str(value)


def _conflicts(entry: Entry, row: Property) -> Iterator[Finding]:
    """Told once, at the one that stands later in the table."""
    given = entry.device.properties
    for other in row.conflicts:
        if given.get(other) and given[row.name] and row.name > other:
            yield entry, (row.name,), f"{row.name} and {other} exclude each other"
