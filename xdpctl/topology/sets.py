"""The `sets:` of the files: entries from the topology file, and from files of their own.

A file of entries has one a line; what follows a `#` is a comment. The values of a composite entry
are parted by blanks or commas. Its name is relative to that of the topology file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, WithJsonSchema

from xdpctl.errors import Problem
from xdpctl.topology import leaf, spec
from xdpctl.topology.draft import locate
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Location, Set, SetType
from xdpctl.topology.raw import shown
from xdpctl.topology.set_composite import joined
from xdpctl.topology.set_types import COMPOSABLE, FORMS, MOST_KEYS, Entries, quick
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.source import STDIN
from xdpctl.topology.tree import Mapping, Node, Scalar
from xdpctl.topology.tree import Sequence as SequenceNode

LARGEST_FILE = 256 * 1024 * 1024
MOST_TOLD = 20
"""Wrong lines of one file that are told of."""
_KEYS = ("type", "entries", "file")


class TypeReader:
    """`ip4`, `ip6`, `ether`, `port`, or a list of match keys."""

    def parse(self, raw: object) -> tuple[SetType, tuple[str, ...]]:
        """The type, and the keys of a composite one."""
        if isinstance(raw, list):
            return "composite", self._keys(raw)
        for name in FORMS:
            if raw == name:
                return name, ()
        hint = leaf.guess(raw, tuple(FORMS)) if isinstance(raw, str) else ""
        wanted = ", ".join(FORMS)
        raise ValueError(f"must be {wanted} or a list of match keys, not {shown(raw)}{hint}")

    def _keys(self, raw: list[object]) -> tuple[str, ...]:
        keys = tuple(map(str, raw))
        for key in keys:
            if key not in COMPOSABLE:
                why = "cannot be in a composite set" if key in KEYS else "is no match key"
                raise ValueError(f"has {shown(key)}, which {why}{leaf.guess(key, COMPOSABLE)}")
        if not 2 <= len(keys) <= MOST_KEYS or len(set(keys)) < len(keys):
            raise ValueError(f"must have 2-{MOST_KEYS} different match keys, not {len(keys)}")
        return keys

    def schema(self) -> dict[str, Any]:
        """A word, or a list of keys."""
        keys = {"type": "array", "items": {"enum": list(COMPOSABLE)}, "minItems": 2}
        return {"anyOf": [{"enum": list(FORMS)}, keys | {"maxItems": MOST_KEYS}]}


_ENTRY: dict[str, Any] = {"type": ["string", "integer"]}
_ENTRIES = {
    "type": "array",
    "description": "Values as in a match; of a composite set lists of them.",
    "items": {"anyOf": [_ENTRY, {"type": "array", "items": _ENTRY}]},
}


@cache
def adapter() -> TypeAdapter[dict[str, Any]]:
    """Validates one set."""
    return spec.adapter(
        "set",
        {
            "type": Annotated[Any, spec.By(TypeReader(), "What an entry is.")],
            "entries": Annotated[list[Any] | None, WithJsonSchema(_ENTRIES)],
            "file": Annotated[Any, spec.By(leaf.PLAIN_TEXT, "A file of entries, one a line.")],
        },
    )


class Reader:
    """Reads sets; keeps the digests of the files that it has read."""

    def __init__(self, problems: list[Problem], files: dict[str, str]) -> None:
        self._problems = problems
        self._files = files

    def set(self, file: str, key: Scalar, node: Node) -> Set | None:
        """The set under `key`; None if its shape is wrong."""
        here = Location(file, key.line, key.column)
        self._check_name(here, key)
        found = validated(adapter(), Place(file, key, node, key.text, _KEYS), self._problems)
        if found is None:
            return None
        if "type" not in found:
            self._problem(here, f"set {key.text} has no type")
            return None
        if found.get("entries") is None and "file" not in found:
            self._problem(here, f"set {key.text} has neither entries nor a file")
            return None
        kind, keys = found["type"]
        forms = [KEYS[name].form for name in keys] or [FORMS[kind]]
        entries = Entries(forms)
        self._inline(file, key, node, entries)
        if "file" in found:
            self._from_file(file, locate(file, key, node, ("file",)), found["file"], kind, entries)
        return self._made(here, key.text, kind, keys, entries)

    def _made(
        self, here: Location, name: str, kind: SetType, keys: tuple[str, ...], entries: Entries
    ) -> Set | None:
        bits: tuple[int, ...] = (entries.forms[0].bits,)
        if keys:
            try:
                keys, bits = joined(keys, entries)
            except ValueError as error:
                self._problem(here, f"set {name} {error}")
                return None
        prefixes = {length: frozenset(some) for length, some in sorted(entries.prefixes.items())}
        return Set(name, kind, keys, bits, frozenset(entries.exact), prefixes, here)

    def _check_name(self, here: Location, key: Scalar) -> None:
        try:
            leaf.POLICY_NAME.parse(key.value)
        except ValueError as error:
            self._problem(here, f"a set's name {error}")

    def _problem(self, where: Location, message: str) -> None:
        self._problems.append(problem(where, message))

    def _inline(self, file: str, key: Scalar, node: Node, entries: Entries) -> None:
        listed = node.get("entries") if isinstance(node, Mapping) else None
        for item in listed.items if isinstance(listed, SequenceNode) else []:
            try:
                entries.add(_values(item, len(entries.forms)))
            except ValueError as error:
                where = Location(file, item.line, item.column)
                self._problem(where, f"set {key.text} {error}")

    def _from_file(
        self, file: str, where: Location, name: str, kind: SetType, entries: Entries
    ) -> None:
        folder = "" if file == STDIN else os.path.dirname(file)
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as stream:
                data = stream.read(LARGEST_FILE + 1)
            text = data.decode()
        except OSError as error:
            self._problem(where, f"file {name} cannot be read: {error.strerror}")
            return
        except UnicodeDecodeError:
            self._problem(where, f"file {name} is not UTF-8")
            return
        if len(data) > LARGEST_FILE:
            self._problem(where, f"file {name} is larger than {LARGEST_FILE >> 20} MiB, the limit")
            return
        self._files[path] = hashlib.sha256(data).hexdigest()
        self._lines(path, text.splitlines(), kind, entries)

    def _lines(self, path: str, lines: Sequence[str], kind: SetType, entries: Entries) -> None:
        """A million lines take a second: most are a plain value, which needs no parser."""
        simple, exact, told = quick(kind), entries.exact, 0
        for number, line in enumerate(lines, 1):
            if simple is not None:
                try:
                    exact.add(simple(line))
                    continue
                except (OSError, ValueError):  # the careful way says what it is, or is not
                    pass
            words = line.partition("#")[0].strip()
            if not words:
                continue
            try:
                entries.add(_split(words, len(entries.forms)))
            except ValueError as error:
                told += 1
                if told <= MOST_TOLD:
                    column = len(line) - len(line.lstrip()) + 1
                    self._problems.append(Problem(path, number, column, f"a line {error}"))


def _values(item: Node, count: int) -> Sequence[str]:
    """The values of an entry in the topology file."""
    nodes = item.items if isinstance(item, SequenceNode) else [item]
    if any(not isinstance(node, Scalar) or isinstance(node.value, bool) for node in nodes):
        raise ValueError("has an entry that is neither a value nor a list of values")
    texts = [node.text.strip() for node in nodes if isinstance(node, Scalar)]
    return _split(texts[0], count) if len(texts) == 1 else texts


def _split(text: str, count: int) -> list[str]:
    """The values of an entry in one text; nft's dots between them are taken, too."""
    return [text] if count == 1 else [word for word in re.split(r"[\s,]+", text) if word != "."]
