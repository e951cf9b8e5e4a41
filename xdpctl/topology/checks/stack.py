"""The devices of a topology with the ways between them, for the checks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from xdpctl.topology.draft import Entry

Finding = tuple[Entry, tuple[str | int, ...], str]
"""A device, the path of the value that is wrong (empty: its name), and a sentence."""


class Stack:
    """All devices. `broken` names devices that have problems of their own already."""

    def __init__(
        self, entries: dict[str, Entry], broken: set[str], policies: frozenset[str]
    ) -> None:
        self.entries = entries
        self.broken = broken
        self.policies = policies

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def of(self, *kinds: str) -> Iterator[Entry]:
        """The devices of these kinds."""
        return (entry for entry in self if entry.device.kind in kinds)

    def parent(self, entry: Entry) -> Entry | None:
        """The device below, if the file has it."""
        return self.entries.get(entry.device.parent or "")

    @cached_property
    def uppers(self) -> dict[str, list[Entry]]:
        """By a device's name, those that name it as their parent."""
        found: dict[str, list[Entry]] = {}
        for entry in self:
            if entry.device.parent is not None:
                found.setdefault(entry.device.parent, []).append(entry)
        return found

    @cached_property
    def masters(self) -> dict[str, list[Entry]]:
        """By a device's name, those that name it among their ports."""
        found: dict[str, list[Entry]] = {}
        for entry in self:
            for port in entry.device.ports:
                found.setdefault(port, []).append(entry)
        return found
