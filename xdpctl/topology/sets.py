"""The `sets:` of the files: entries from the topology file, and from files of their own.

A file of entries has one a line; what follows a `#` is a comment. The values of a composite entry
are parted by blanks or commas. Its name is relative to that of the topology file.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, WithJsonSchema

from xdpctl.errors import Problem
from xdpctl.topology import leaf, set_lines, source, spec
from xdpctl.topology.draft import locate
from xdpctl.topology.keys import KEYS, exclude
from xdpctl.topology.model import Location, Set, SetType
from xdpctl.topology.raw import shown
from xdpctl.topology.set_composite import Composite, Entries, TwoLarge
from xdpctl.topology.set_types import (
    COMPOSABLE,
    FORMS,
    MEMBERS,
    MOST_KEYS,
    MOST_WIDTH,
    Budget,
    Plain,
    padded,
    read,
)
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.source import STDIN
from xdpctl.topology.tree import Mapping, Node, Scalar, describe
from xdpctl.topology.tree import Sequence as SequenceNode

LARGEST_FILE = 256 * 1024 * 1024
MOST_TOLD = 20
"""Wrong lines of one file that are told of."""
WANTED = f"{', '.join(FORMS)} or a list of match keys"
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
        hint = self._hint(raw) if isinstance(raw, str) else ""
        raise ValueError(f"must be {WANTED}, not {shown(raw) or 'nothing'}{hint}")

    def _hint(self, text: str) -> str:
        for kind, members in MEMBERS.items():
            if text in members:
                return f" (write {kind})"
        keys = [key for key in re.split(r"[\s,+]+", text) if key != "."]
        if len(keys) > 1 and all(key in KEYS for key in keys):
            return f" (write [{', '.join(keys)}])"
        return leaf.guess(text, tuple(FORMS))

    def _keys(self, raw: list[object]) -> tuple[str, ...]:
        keys: list[str] = []
        for index, key in enumerate(map(shown, raw)):
            if key not in COMPOSABLE:
                why = "cannot be in a composite set" if key in KEYS else "is no match key"
                hint = "" if key in KEYS else _key_hint(key)
                raise leaf.Inside(f"type has {key or 'nothing'}, which {why}{hint}", index)
            if key in keys:
                raise leaf.Inside(f"type has {key} twice", index)
            for other in keys:
                if exclude(KEYS[other], KEYS[key]):
                    raise leaf.Inside(f"type: no frame has both {other} and {key}", index)
            keys.append(key)
        if not 2 <= len(keys) <= MOST_KEYS:
            raise ValueError(f"must have 2-{MOST_KEYS} match keys, not {len(keys)}")
        width = sum(padded(KEYS[key].bits) for key in keys)
        if width > MOST_WIDTH:
            raise ValueError(f"makes entries of {width} bits, more than {MOST_WIDTH}")
        return tuple(keys)

    def schema(self) -> dict[str, Any]:
        """A word, or a list of keys."""
        keys = {"type": "array", "items": {"enum": list(COMPOSABLE)}, "minItems": 2}
        several = keys | {"maxItems": MOST_KEYS, "uniqueItems": True}
        return {"anyOf": [{"enum": list(FORMS)}, several]}


def _key_hint(word: str) -> str:
    members = next((keys for kind, keys in MEMBERS.items() if kind == word), ())
    return f" (write {members[0]})" if members else leaf.guess(word, COMPOSABLE)


_ENTRY: dict[str, Any] = {"type": ["string", "integer"]}
_ENTRIES = {
    "type": ["array", "null"],
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

    def __init__(self, problems: list[Problem], files: dict[str, str], budget: Budget) -> None:
        self._problems = problems
        self._files = files
        self._budget = budget

    def set(self, file: str, key: Scalar, node: Node) -> Set | None:
        """The set under `key`; None if its shape is wrong."""
        here = Location(file, key.line, key.column)
        self._check_name(here, key)
        found = validated(adapter(), Place(file, key, node, key.text, _KEYS), self._problems)
        if found is None:
            return None
        if "type" not in found:
            self._problem(here, f"set {key.text} has no type ({WANTED})")
            return None
        if found.get("entries") is None and "file" not in found:
            hint = "write entries: [] for none"
            self._problem(here, f"set {key.text} has neither entries nor a file ({hint})")
            return None
        kind, keys = found["type"]
        entries: Entries = (
            Plain(FORMS[kind], self._budget)
            if not keys
            else Composite(keys, [KEYS[name].form for name in keys], self._budget)
        )
        self._inline(file, key, node, entries)
        if "file" in found:
            where = locate(file, key, node, ("file",))
            self._from_file(where, key.text, found["file"], entries)
        return self._made(here, key.text, kind, entries)

    def _made(self, here: Location, name: str, kind: SetType, entries: Entries) -> Set | None:
        keys: tuple[str, ...] = ()
        bits: tuple[int, ...] = (entries.forms[0].bits,)
        if isinstance(entries, Composite):
            try:
                keys, bits = entries.join()
            except ValueError as error:
                where = error.where if isinstance(error, TwoLarge) else here
                self._problem(where, f"set {name}: {error}")
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
            where, nodes = Location(file, item.line, item.column), _values(item)
            try:
                texts = [_text(one) for one in nodes]
                if len(texts) == 1:
                    texts = [text for _, text in set_lines.split(texts[0], len(entries.forms))]
                entries.add(read(entries.names, entries.forms, texts), where)
            except ValueError as error:
                if isinstance(error, leaf.Inside) and len(nodes) > 1:
                    wrong = nodes[int(error.path[0])]
                    where = Location(file, wrong.line, wrong.column)
                self._problem(where, f"set {key.text}: {error}")
                if self._budget.left < 0:
                    return

    def _from_file(self, where: Location, name: str, file: str, entries: Entries) -> None:
        folder = "" if where.file == STDIN else os.path.dirname(where.file)
        path = os.path.join(folder, file)
        try:
            with open(path, "rb") as stream:
                data = stream.read(LARGEST_FILE + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._problem(where, f"file {file} cannot be read: {reason}")
            return
        if len(data) > LARGEST_FILE:
            self._problem(where, f"file {file} is larger than {LARGEST_FILE >> 20} MiB, the limit")
            return
        if not data.isascii() and source.decode(data, path, self._problems) is None:
            return
        self._files[path] = hashlib.sha256(data).hexdigest()
        told = 0

        def wrong(place: Location, message: str) -> bool:
            nonlocal told
            told += 1
            self._problem(place, f"set {name}: {message}")
            return told < MOST_TOLD and self._budget.left >= 0

        text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig")
        set_lines.gather(text, path, entries, wrong)


def _values(item: Node) -> Sequence[Node]:
    """The nodes of an entry's values in the topology file."""
    return item.items if isinstance(item, SequenceNode) else [item]


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise ValueError(f"an entry must be a value or a list of values, not {describe(node)}")  # noqa: TRY004
    return "" if node.value is None else node.text.strip()
