"""Loads a topology: files to texts, trees, drafts, devices, checks, and one frozen Topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdpctl.errors import Problem, TopologyError
from xdpctl.topology import source
from xdpctl.topology.model import Topology


def load(paths: Sequence[str]) -> Topology:
    """The topology that files, directories and `-` (standard input) make up together.

    Raises TopologyError with every problem of every file.
    """
    problems: list[Problem] = []
    texts = source.read(paths, problems)
    if not paths:
        problems.append(Problem("-", 1, 1, "no topology file is given"))
    return _load(texts, problems)


def load_texts(texts: Mapping[str, str]) -> Topology:
    """The topology of files that are read already, by their names."""
    return _load(texts, [])


def _load(texts: Mapping[str, str], problems: list[Problem]) -> Topology:
    # Imported late: pydantic and ruamel cost 100 ms, and other commands need neither.
    from xdpctl.topology.checks import findings
    from xdpctl.topology.expand import expand
    from xdpctl.topology.order import ordered
    from xdpctl.topology.parse import parse
    from xdpctl.topology.read import Book, read

    book = Book(problems)
    for file, text in texts.items():
        root = parse(text, file, problems)
        if root is not None:
            read(file, root, book)
    unread = bool(problems) and not book.headers
    name = _header(book.headers, "name", texts, problems, unread)
    _header(book.headers, "version", texts, problems, unread)
    if not book.has_devices and not unread:
        problems.append(Problem(_first(texts), 1, 1, "devices is missing"))
    entries = expand(str(name), book.drafts, problems)
    problems += findings(entries, book)
    if problems:
        raise TopologyError(problems)
    devices = ordered({name: entry.device for name, entry in entries.items()})
    return Topology(str(name), devices, book.policies, dict(texts))


def _header(
    headers: Mapping[str, list[Any]],
    key: str,
    texts: Mapping[str, str],
    problems: list[Problem],
    unread: bool,
) -> object:
    """The value that at least one file has and none contradicts."""
    found = headers.get(key, [])
    if not found:
        if not unread:
            problems.append(Problem(_first(texts), 1, 1, f"{key} is missing"))
        return None
    value, first = found[0]
    for other, place in found[1:]:
        if str(other) != str(value):
            message = f"{key} is {other} here and {value} at {first}"
            problems.append(Problem(place.file, place.line, place.column, message))
    return value


def _first(texts: Mapping[str, str]) -> str:
    return next(iter(texts), "-")
