"""Drafts to devices: a range becomes one for each number, derived values are filled in."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from typing import Any

from xdpctl.errors import Problem
from xdpctl.topology import ranges
from xdpctl.topology.draft import Draft, Entry
from xdpctl.topology.kinds import table
from xdpctl.topology.leaf import Base
from xdpctl.topology.model import Device, Location, Value, Xdp
from xdpctl.topology.shape import problem
from xdpctl.topology.spec import XdpSpec, is_reference
from xdpctl.topology.tree import Scalar

DERIVED = ("macvlan", "macvtap")
"""Kinds that get an address of ours if the file has none: the kernel's would be random.

Not in mode passthru, where the address is the lower device's own.
"""


def derived_address(topology: str, device: str) -> str:
    """A MAC that is the same on every host and boot: hashed, locally administered, unicast."""
    digest = bytearray(hashlib.sha256(f"{topology}/{device}".encode()).digest()[:6])
    digest[0] = digest[0] & 0xFC | 0x02
    return digest.hex(":")


def expand(topology: str, drafts: list[Draft], problems: list[Problem]) -> dict[str, Entry]:
    """Every device by name."""
    entries: dict[str, Entry] = {}
    for draft in drafts:
        for entry in _devices(topology, draft, problems):
            other = entries.setdefault(entry.device.name, entry)
            if other is not entry:
                assert other.draft is not None
                problems.append(problem(draft.location, _twice(entry, other.draft)))
                break
    return entries


def _twice(entry: Entry, other: Draft) -> str:
    name, text = entry.device.name, other.key.text
    of_range = f" (in {text})" if text != name else ""
    return f"device {name!r} is also at {other.location}{of_range}"


def _devices(topology: str, draft: Draft, problems: list[Problem]) -> list[Entry]:
    """The devices of one draft; what goes wrong with one of a range is told once."""
    numbers = [None] if draft.range is None else draft.range.numbers()
    resolver = _Resolver(topology, draft)
    entries = []
    for index, number in enumerate(numbers):
        entries.append(resolver.entry(number, index))
        if resolver.problems:
            problems += resolver.problems
            break
    return entries


class _Resolver:
    """Makes the devices of a draft, which share all that is the same for each.

    `number` and `index` are those of the device that is being made: in the name, and from 0.
    """

    def __init__(self, topology: str, draft: Draft) -> None:
        self.topology = topology
        self.draft = draft
        self.number: int | None = None
        self.index = 0
        self.problems: list[Problem] = []
        match = draft.values.get("match")
        self._match = {} if match is None else match.model_dump(exclude_none=True)
        self._xdp = _xdp(draft.values.get("xdp"))
        self._location = draft.location
        self._spans: dict[str, ranges.Range | None] = {}
        rows, references = table(draft.kind), _references(draft.kind)
        self._given = {name: value for name, value in draft.values.items() if name in rows}
        self._own = [
            name
            for name, value in self._given.items()
            if name in references or isinstance(value, Base)
        ]

    def entry(self, number: int | None, index: int) -> Entry:
        """The device and where its ports are named."""
        self.number, self.index = number, index
        draft = self.draft
        name = draft.key.text if draft.range is None else draft.range.name(number or 0)
        nodes, port_properties = self._ports() if draft.ports else ({}, {})
        properties = self._properties()
        deliver = draft.values.get("deliver")
        behind = str(properties.pop("address", "")) if deliver else ""
        derived = draft.kind in DERIVED and properties.get("mode") != "passthru"
        derived = derived and "address" not in properties
        if derived:
            properties["address"] = derived_address(self.topology, name)
        device = Device(
            name,
            draft.kind,
            self._location,
            parent=self._name(("parent",), draft.values.get("parent")),
            ports=tuple(nodes),
            portless=not nodes and draft.node.get("ports") is not None,
            properties=properties,
            port_properties=port_properties,
            match=self._match,
            xdp=self._xdp,
            netns=self._name(("netns",), draft.values.get("netns"), "namespaces") or "",
            derived=derived,
            deliver=deliver,
            behind=behind,
        )
        return Entry(device, draft, nodes)

    def _properties(self) -> dict[str, Value]:
        found: dict[str, Value] = dict(self._given)
        for name in self._own:
            value = self._given[name]
            if isinstance(value, Base):
                found[name] = self._based(name, value)
            else:
                found[name] = self._name((name,), value) or ""
        return found

    def _based(self, name: str, base: Base) -> Value:
        codec = table(self.draft.kind)[name].codec
        try:
            if self.number is None:
                raise ValueError("has a base, which is for ranges (web[1-10]) only")  # noqa: TRY301
            return codec.parse(base.plus(self.number))
        except ValueError as error:
            self._problem((name,), f"{name} {error}")
            return base.start

    def _ports(self) -> tuple[dict[str, Scalar], dict[str, dict[str, Value]]]:
        """Each port's node and own properties, in the file's order."""
        nodes: dict[str, Scalar] = {}
        own: dict[str, dict[str, Value]] = {}
        for port in self.draft.ports:
            for name in self._names(port.node):
                if name in nodes:
                    self._problem_at(port.node, f"port {name!r} is here twice")
                nodes[name] = port.node
                if port.properties:
                    own[name] = dict(port.properties)
        return nodes, own

    def _names(self, node: Scalar) -> list[str]:
        """The ports that an entry of `ports:` stands for: one of a range's device, else all."""
        try:
            if self.number is None:
                return ranges.names(node.text)
            return [self._pick(node.text)]
        except ValueError as error:
            self._problem_at(node, f"port {error}")
            return []

    def _name(self, path: tuple[str], text: str | None, of: str = "devices") -> str | None:
        """The one device (or namespace) that a reference means."""
        if text is None:
            return None
        try:
            return self._pick(text, of)
        except ValueError as error:
            self._problem(path, f"{path[0]} {error}")
            return None

    def _pick(self, text: str, of: str = "devices") -> str:
        """A plain name as it is; of a range the device at our own place in ours."""
        if text not in self._spans:
            self._spans[text] = ranges.parse(text)
        span = self._spans[text]
        if span is None:
            return text
        own = self.draft.range
        if own is None:
            raise ValueError(f"{text!r} is a range, which needs a range of devices")
        if len(span) != len(own):
            raise ValueError(f"{text!r} has {len(span)} {of}, {self.draft.key.text} {len(own)}")
        return span.name(span.low + self.index)

    def _problem(self, path: tuple[str, ...], message: str) -> None:
        self.problems.append(problem(self.draft.at(path), message))

    def _problem_at(self, node: Scalar, message: str) -> None:
        place = Location(self.draft.file, node.line, node.column)
        self.problems.append(problem(place, message))


@cache
def _references(kind: str) -> frozenset[str]:
    """A kind's properties that name another device."""
    return frozenset(name for name, row in table(kind).items() if is_reference(row))


@lru_cache(maxsize=256)
def _xdp(found: XdpSpec | None) -> Xdp | None:
    if found is None:
        return None
    fields: dict[str, Any] = found.model_dump()
    return Xdp(**fields)
