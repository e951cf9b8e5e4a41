"""Plain YAML within brackets: `{mode: bridge, ports: [eth0, eth1]}`."""

from __future__ import annotations

import re
from typing import Final

from xdpctl.topology.plain_scalars import (
    DEEPEST,
    QUOTED,
    START,
    WORD,
    NotPlainError,
    Scalars,
)
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence

_PLAIN: Final = rf"{START}(?:[{WORD}]++|:(?=[A-Za-z0-9])| ++(?=[{WORD}]))*+"
_KEY: Final = r"""(?:([A-Za-z_][A-Za-z0-9_./@+-]{0,127}+)|"([^"\\\n]{1,128}+)"): +"""
_GAP: Final = re.compile(r"(?: *+(?: #[^\n]*+)?\n)*+ *+")
_PAIR: Final = re.compile(rf"{_KEY}(?:({_PLAIN})|{QUOTED}|(?=[{{\[]))")
_ITEM: Final = re.compile(rf"(?:({_PLAIN})|{QUOTED})(?! *:)")


class Flow:
    """Reads what stands within brackets, and counts the lines that it goes over.

    `line_start` is where the line begins, whose number is `line`. What is on further lines must be
    further right than `indent` spaces.
    """

    def __init__(
        self, text: str, line_start: int, line: int, indent: int, scalars: Scalars
    ) -> None:
        self.line = line
        self._text = text
        self._line_start = line_start
        self._indent = indent
        self._scalars = scalars

    def collection(self, at: int, depth: int) -> tuple[Node, int]:
        """The mapping or list that begins at `at`, and where it ends."""
        if depth > DEEPEST:
            raise NotPlainError
        return (self._mapping if self._text[at] == "{" else self._sequence)(at, depth)

    def _mapping(self, at: int, depth: int) -> tuple[Mapping, int]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        found = Mapping(self.line, self._column(at), entries)
        at = self._gap(at + 1)
        while self._text[at] != "}":
            pair = _PAIR.match(self._text, at)
            if pair is None:
                raise NotPlainError
            key = self._scalars.key(self.line, self._column(at), pair[1], pair[2], entries)
            value, at = self._value(pair, 3, depth)
            entries[key.text] = (key, value)
            at = self._separated(at, "}")
        return found, at + 1

    def _sequence(self, at: int, depth: int) -> tuple[Sequence, int]:
        items: list[Node] = []
        found = Sequence(self.line, self._column(at), items)
        at = self._gap(at + 1)
        while self._text[at] != "]":
            if self._text[at] in "{[":
                value, at = self.collection(at, depth + 1)
            else:
                item = _ITEM.match(self._text, at)
                if item is None:
                    raise NotPlainError
                value, at = self._value(item, 1, depth)
            items.append(value)
            at = self._separated(at, "]")
        return found, at + 1

    def _value(self, found: re.Match[str], group: int, depth: int) -> tuple[Node, int]:
        """A plain scalar in `group`, a quoted one in the next two, or a collection behind all."""
        plain, double, single = found.group(group, group + 1, group + 2)
        if plain is not None:
            column = self._column(found.start(group))
        elif double is not None or single is not None:
            column = self._column(max(found.start(group + 1), found.start(group + 2)) - 1)
        else:
            return self.collection(found.end(), depth + 1)
        quoted = single if double is None else double
        return self._scalars.made(self.line, column, plain, quoted), found.end()

    def _separated(self, at: int, end: str) -> int:
        """Behind a comma, or right at the closing bracket."""
        at = self._gap(at)
        if self._text[at] == ",":
            return self._gap(at + 1)
        if self._text[at] != end:
            raise NotPlainError
        return at

    def _gap(self, at: int) -> int:
        """Behind blanks, comments and line ends."""
        text = self._text
        if text[at] not in " \n":
            return at
        found = _GAP.match(text, at)
        assert found is not None
        lines = text.count("\n", at, found.end())
        if lines:
            self.line += lines
            self._line_start = text.rindex("\n", at, found.end()) + 1
            if found.end() - self._line_start <= self._indent:
                raise NotPlainError
        if found.end() == len(text):
            raise NotPlainError
        return found.end()

    def _column(self, at: int) -> int:
        return at - self._line_start + 1
