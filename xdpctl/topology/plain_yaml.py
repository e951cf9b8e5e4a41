"""The YAML that people mostly write, read a line at a time: forty times as fast as by events.

Reads a text to the tree that events would give, or not at all: at the first thing that is not
written in the plainest way (an anchor, a tag, an escape, a text over several lines, a missing
value, a tab, any mistake) it gives up, and the text is read by events, which have the words for it.
"""

from __future__ import annotations

import re
from typing import Final

from xdpctl.topology.plain_flow import Flow
from xdpctl.topology.plain_scalars import (
    DEEPEST,
    QUOTED,
    START,
    WORD,
    NotPlainError,
    Resolve,
    Scalars,
)
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence

_ELSEWHERE: Final = re.compile("[\t\r\x85\u2028\u2029\ufeff]")
_END: Final = r" *+(?:(?<= )#[^\n]*+)?\n( *+)"
_PLAIN: Final = rf"{START}(?:[,\[\]{WORD}]++|:(?=[:{WORD}])| ++(?=[,\[\]{WORD}]))*+"
_KEY: Final = r"""(?:([A-Za-z_][A-Za-z0-9_./@+\[\]-]{0,127}+)|"([^"\\\n]{1,128}+)"):"""
_VALUE: Final = rf"(?:({_PLAIN})|{QUOTED})"

_GAP: Final = re.compile(r"(?: *+(?:#[^\n]*+)?\n)*+( *+)")
_ENTRY: Final = re.compile(rf"{_KEY}(?: ++{_VALUE})?{_END}")
_ENTRY_OF_FLOW: Final = re.compile(rf"{_KEY} ++(?=[{{\[])")
_DASH: Final = re.compile(r"- ++(?=[^\n])")
_ITEM: Final = re.compile(_VALUE + _END)
_LINE_END: Final = re.compile(_END)


def parse(text: str, resolve: Resolve) -> Mapping | None:
    """The tree of a mapping that is written in the plainest way, else None.

    `resolve` says what a plain scalar is.
    """
    if _ELSEWHERE.search(text):
        return None
    try:
        return _Reader(text, Scalars(resolve)).document()
    except NotPlainError:
        return None


class _Reader:
    """Stands at the first character of a line's content, `column` spaces from the line's start.

    At the end of the text the column is -1.
    """

    def __init__(self, text: str, scalars: Scalars) -> None:
        self._text = text if text.endswith("\n") else text + "\n"
        self._scalars = scalars
        self._line = 1
        self._at = 0
        self._column = 0

    def document(self) -> Mapping:
        """The whole text."""
        self._to_content(0)
        if self._column != 0:
            raise NotPlainError
        root = self._mapping(1)
        if self._column != -1:
            raise NotPlainError
        return root

    def _to_content(self, at: int) -> None:
        """Go to the content of the line that begins at `at`, or of the next one that has any."""
        found = _GAP.match(self._text, at)
        assert found is not None
        self._line += self._text.count("\n", at, found.end())
        self._at = found.end()
        self._column = len(found[1]) if self._at < len(self._text) else -1

    def _next(self, found: re.Match[str], indent: int) -> None:
        """Go on behind a match of `_END`, whose group is the last; nothing may be further right
        than `indent`, as that would be the rest of a text over several lines.
        """
        self._line += 1
        self._at = found.end()
        if self._at >= len(self._text) or self._text[self._at] in "#\n":
            self._to_content(found.start(found.re.groups))
        else:
            self._column = found.end() - found.start(found.re.groups)
        if self._column > indent:
            raise NotPlainError

    def _mapping(self, depth: int) -> Mapping:
        """A block mapping whose first key is right here."""
        if depth > DEEPEST:
            raise NotPlainError
        indent = self._column
        entries: dict[str, tuple[Scalar, Node]] = {}
        found = Mapping(self._line, indent + 1, entries)
        text, scalars = self._text, self._scalars
        while self._column == indent:
            entry = _ENTRY.match(text, self._at) or _ENTRY_OF_FLOW.match(text, self._at)
            if entry is None:
                raise NotPlainError
            word, quoted, *rest = entry.groups()
            key = scalars.key(self._line, indent + 1, word, quoted, entries)
            value: Node
            if not rest:
                value = self._flow(entry.end(), indent, depth)
            elif rest[0] is not None:  # by far the most frequent
                column = entry.start(3) - self._at + indent + 1
                value = scalars.made(self._line, column, rest[0], None)
                self._next(entry, indent)
            elif rest[1] is rest[2]:
                self._next(entry, len(text))
                value = self._below(indent, depth)
            else:
                value = self._scalar(entry, 3)
                self._next(entry, indent)
            entries[key.text] = (key, value)
        return found

    def _scalar(self, found: re.Match[str], group: int) -> Scalar:
        """The plain scalar in `group` of a match on this line, or a quoted one in the next two."""
        plain, double, single = found.group(group, group + 1, group + 2)
        if plain is not None:
            at, quoted = found.start(group), None
        elif double is not None:
            at, quoted = found.start(group + 1) - 1, double
        else:
            at, quoted = found.start(group + 2) - 1, single
        return self._scalars.made(self._line, at - self._at + self._column + 1, plain, quoted)

    def _flow(self, at: int, indent: int, depth: int) -> Node:
        """What stands within brackets up to the end of a line."""
        flow = Flow(self._text, self._at - self._column, self._line, indent, self._scalars)
        value, end = flow.collection(at, depth + 1)
        line_end = _LINE_END.match(self._text, end)
        if line_end is None:
            raise NotPlainError
        self._line = flow.line
        self._next(line_end, indent)
        return value

    def _below(self, indent: int, depth: int) -> Node:
        """The value of a key that has nothing on its own line."""
        if self._column >= indent and self._text.startswith("- ", self._at):
            return self._sequence(depth + 1)
        if self._column > indent:
            return self._mapping(depth + 1)
        raise NotPlainError

    def _sequence(self, depth: int) -> Sequence:
        """A block list whose first dash is right here."""
        if depth > DEEPEST:
            raise NotPlainError
        indent = self._column
        items: list[Node] = []
        found = Sequence(self._line, indent + 1, items)
        while self._column == indent:
            dash = _DASH.match(self._text, self._at)
            if dash is None:
                break  # a key, of the mapping that the list is in
            self._column += dash.end() - self._at
            self._at = dash.end()
            items.append(self._item(indent, depth))
        return found

    def _item(self, indent: int, depth: int) -> Node:
        """What stands behind a dash."""
        if self._text[self._at] in "{[":
            return self._flow(self._at, indent, depth)
        if _ENTRY.match(self._text, self._at) or _ENTRY_OF_FLOW.match(self._text, self._at):
            return self._mapping(depth + 1)
        item = _ITEM.match(self._text, self._at)
        if item is None:
            raise NotPlainError
        value = self._scalar(item, 1)
        self._next(item, indent)
        return value
