"""The devices of a topology with the ways between them, for the checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from xdpctl.topology.draft import Entry
from xdpctl.topology.leaf import guess
from xdpctl.topology.read import Book

MACVLANS = ("macvlan", "macvtap")
STACKED = (*MACVLANS, "vlan")
"""Kinds whose frames a root's pipeline tells apart."""

MOST_HINTS = 20

Finding = tuple[Entry, tuple[str | int, ...], str]
"""A device, the path of the value that is wrong (empty: its name), and a sentence."""


class Stack:
    """All devices, and what the files say besides."""

    def __init__(self, entries: dict[str, Entry], book: Book) -> None:
        self.entries = entries
        self.broken = book.broken
        self.policies = frozenset(book.policy_nodes)
        self.complete = book.complete
        self._hints: dict[str, str] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def of(self, *kinds: str) -> Iterator[Entry]:
        """The devices of these kinds."""
        return (entry for entry in self if entry.device.kind in kinds)

    def parent(self, entry: Entry) -> Entry | None:
        """The device below, if the file has it."""
        return self.entries.get(entry.device.parent or "")

    def known(self, name: str) -> bool:
        """Whether a file names it, rightly or wrongly, or may: one of them could not be read."""
        return not self.complete or name in self.entries or name in self.broken

    def hint(self, name: str, names: Iterable[str]) -> str:
        """The nearest of the names; not for every name of a file full of wrong ones."""
        if name not in self._hints:
            few = len(self._hints) < MOST_HINTS
            self._hints[name] = guess(name, tuple(names)) if few else ""
        return self._hints[name]

    @cached_property
    def peers(self) -> dict[str, str]:
        """By the name of a veth's other end, the veth."""
        return {str(one.device.properties["peer"]): one.device.name for one in self.of("veth")}

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
