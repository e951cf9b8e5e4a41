"""YAML text to a located tree, by YAML 1.2's rules (`yes` and `010` are text, `0x10` is 16).

Bounded in time and memory for any text: the size of a file, the depth of nesting, and the number
of nodes once aliases are expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from xdpctl.errors import Problem
from xdpctl.record import record
from xdpctl.topology import plain_yaml
from xdpctl.topology.tree import Mapping, Node, Scalar, ScalarValue, Sequence

MAX_DEPTH = 32
MAX_NODES = 1_000_000

_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_UNPRINTABLE_ASCII = "[^\t\n\r\x20-\x7e]"
"""The same for a text of ASCII alone: compiled in a twentieth of the time."""
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})")
_BASED = re.compile(r"0x[0-9a-fA-F]{1,40}|0o[0-7]{1,40}")
_WORDS: dict[str, ScalarValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAG = "tag:yaml.org,2002:"

_OPENING = ("MappingStartEvent", "SequenceStartEvent")
_CLOSING = ("MappingEndEvent", "SequenceEndEvent")
_SIMPLER = (
    ("found character '\\t'", "a tab: YAML is indented with spaces only"),
    ("found character '@'", "a value that starts with @ must be quoted"),
    ("found character '`'", "a value that starts with ` must be quoted"),
    ("found character '%'", "a value that starts with % must be quoted"),
    ("while scanning a tag", "a value that starts with ! must be quoted"),
    ("found unexpected end of stream", "this quote is never closed"),
    ("<stream end>", "this bracket is never closed"),
    ("mapping values are not allowed", "a ':' is not allowed here (wrong indentation, or quotes?)"),
    ("could not find expected ':'", "a key without ':'"),
)


class _Wrong(Exception):  # noqa: N818 (never leaves this module)
    """Stops the parse at a place."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


def parse(text: str, file: str, problems: list[Problem]) -> Node | None:
    """The tree of the one document in `text`; None where there is none worth reading further."""
    bad = re.search(_UNPRINTABLE_ASCII if text.isascii() else _UNPRINTABLE, text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        what = f"character U+{ord(bad[0]):04X} is not allowed in YAML"
        problems.append(Problem(file, line, column, what))
        return None
    few = len(text) < 2 * MAX_NODES  # a node takes two characters at least
    root = plain_yaml.parse(text, resolve) if few else None
    return root or by_events(text, file, problems)


def by_events(text: str, file: str, problems: list[Problem]) -> Node | None:
    """The same by ruamel's events, which know all of YAML and what is wrong with it."""
    try:
        return _Builder(file, problems).document(_events(text))
    except _Wrong as wrong:
        problems.append(Problem(file, wrong.line, wrong.column, wrong.message))
    return None


def _events(text: str) -> Iterator[Any]:
    """ruamel's events of a text; everything it may raise becomes a `_Wrong`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    from xdpctl.topology.scanner import QuickScanner

    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = QuickScanner
    line = column = 1
    opened: list[Any] = []
    try:
        for event in yaml.parse(text):
            line, column = event.end_mark.line + 1, event.end_mark.column + 1
            if type(event).__name__ in _OPENING:
                opened.append(event.start_mark)
            elif type(event).__name__ in _CLOSING:
                opened.pop()
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "unexpected end of stream" in str(error.problem) or "a tag" in str(error.context):
            mark = error.context_mark or mark
        elif "<stream end>" in str(error.problem) and opened:
            mark = opened[-1]
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        raise _Wrong(line, column, _sentence(str(error.problem), error.context)) from None
    except YAMLError as error:
        raise _Wrong(line, column, f"not YAML: {str(error).splitlines()[0]}") from None
    # The scanner lets Python's own errors out on some broken escapes, directives and tags.
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _Wrong(line, column, f"not YAML after this: {error}") from None
    except (NotImplementedError, OverflowError):
        raise _Wrong(line, column, "not YAML after this") from None


def _sentence(problem: str, context: str | None) -> str:
    for part, simpler in _SIMPLER:
        if part in f"{context}: {problem}":
            return f"not YAML: {simpler}"
    return f"not YAML: {problem}" + (f" ({context})" if context else "")


@record
class _Anchor:
    """An anchored node, the number of nodes it stands for, and how deep it is nested."""

    node: Node
    nodes: int
    height: int


class _Builder:
    """Builds the tree from events; remembers anchors, counts depth and nodes."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems
        self._anchors: dict[str, _Anchor | None] = {}
        self._nodes = 0
        self._depth = 0
        self._deepest = 0

    def document(self, events: Iterator[Any]) -> Node | None:
        """The root of the only document."""
        root: Node | None = None
        for event in events:
            if type(event).__name__ == "DocumentStartEvent":
                if root is not None:
                    raise _at(event, "a second document: one file is one topology, remove this ---")
                root = self._node(next(events), events)
        if root is None or (isinstance(root, Scalar) and root.value is None):
            raise _Wrong(1, 1, "the file is empty")
        return root

    def _node(self, event: Any, events: Iterator[Any]) -> Node:
        if type(event).__name__ == "AliasEvent":
            return self._alias(event)
        if event.anchor is None:
            return self._content(event, events)
        self._anchors[event.anchor] = None
        nodes, deepest, self._deepest = self._nodes, self._deepest, self._depth
        node = self._content(event, events)
        self._anchors[event.anchor] = _Anchor(
            node, self._nodes - nodes, self._deepest - self._depth
        )
        self._deepest = max(deepest, self._deepest)
        return node

    def _content(self, event: Any, events: Iterator[Any]) -> Node:
        self._count(event, 1, 0)
        kind = type(event).__name__
        if kind == "ScalarEvent":
            return _scalar(event)
        self._depth += 1
        self._count(event, 0, 0)
        collect = self._mapping if kind == "MappingStartEvent" else self._sequence
        node = collect(event, events)
        self._depth -= 1
        return node

    def _alias(self, event: Any) -> Node:
        try:
            anchor = self._anchors[event.anchor]
        except KeyError:
            raise _at(event, f"alias *{event.anchor} has no anchor before it") from None
        if anchor is None:
            raise _at(event, f"alias *{event.anchor} stands inside its own anchor")
        self._count(event, anchor.nodes, anchor.height)
        return anchor.node

    def _count(self, event: Any, nodes: int, height: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _at(event, f"more than {MAX_NODES} values once aliases are expanded")
        self._deepest = max(self._deepest, self._depth + height)
        if self._depth + height > MAX_DEPTH:
            raise _at(event, f"nested more than {MAX_DEPTH} deep")

    def _sequence(self, event: Any, events: Iterator[Any]) -> Sequence:
        _check_tag(event, "seq")
        items: list[Node] = []
        for item in events:
            if type(item).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(item, events))
        return Sequence(*_place(event), items)

    def _mapping(self, event: Any, events: Iterator[Any]) -> Mapping:
        _check_tag(event, "map")
        entries: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Node] = []
        for item in events:
            if type(item).__name__ == "MappingEndEvent":
                break
            key = self._node(item, events)
            value = self._node(next(events), events)
            if value.line > key.line and isinstance(value, Scalar) and _is_missing(value):
                # Nothing stands where the next key does: that is not where it is missing.
                value.line, value.column = key.line, key.column
            if isinstance(key, Scalar) and key.text == "<<" and key.plain:
                merged.append(value)
            elif not isinstance(key, Scalar) or not isinstance(key.value, str):
                quoted = f': write "{key.text}"' if isinstance(key, Scalar) and key.text else ""
                self._problem(item, f"a key must be text{quoted}")
            elif key.value in entries:
                first = entries[key.value][0]
                self._problem(item, f"{key.value!r} is here twice (first on line {first.line})")
            else:
                entries[key.value] = (key, value)
        for value in merged:
            self._merge(entries, value)
        return Mapping(*_place(event), entries)

    def _merge(self, entries: dict[str, tuple[Scalar, Node]], value: Node) -> None:
        """Adds what `<<` brings: a key written in the mapping itself wins."""
        for source in value.items if isinstance(value, Sequence) else [value]:
            if isinstance(source, Mapping):
                for key, entry in source.entries.items():
                    entries.setdefault(key, entry)
            else:
                where = Problem(self._file, source.line, source.column, "<< takes a mapping")
                self._problems.append(where)

    def _problem(self, event: Any, message: str) -> None:
        self._problems.append(Problem(self._file, *_place(event), message))


def _scalar(event: Any) -> Scalar:
    text: str = event.value
    tag = "" if event.tag is None else str(event.tag)
    plain = event.style is None and tag != "!"
    value: ScalarValue = resolve(text) if plain else text
    if tag not in ("", "!"):
        wanted = {"str": str, "int": int, "bool": bool, "null": type(None)}.get(
            tag.removeprefix(_TAG)
        )
        value = text if wanted is str else resolve(text)
        if wanted is None or type(value) is not wanted:
            quote = ": a value that starts with ! must be quoted" if tag[0] == "!" else ""
            raise _at(event, f"tag {_short(tag)} does not fit here{quote}")
    return Scalar(*_place(event), value, text, event.style is None)


def _is_missing(node: Scalar) -> bool:
    """Whether nothing is written there, not even `~`."""
    return node.value is None and node.text == ""


def resolve(text: str) -> ScalarValue:
    """What YAML 1.2's core schema takes a plain scalar for.

    Fractions stay text (no property takes one), and so do numbers with a leading zero, which
    YAML 1.1 took for octal.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return text


def _check_tag(event: Any, expected: str) -> None:
    if event.tag is not None and str(event.tag) not in ("!", _TAG + expected):
        raise _at(event, f"tag {_short(str(event.tag))} does not fit here")


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _at(event: Any, message: str) -> _Wrong:
    return _Wrong(*_place(event), message)
