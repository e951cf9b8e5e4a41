"""Loads a topology: files to texts, trees, drafts, devices, checks, and one frozen Topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xdpctl.errors import Problem, TopologyError
from xdpctl.topology import source
from xdpctl.topology.model import Case, Location, Topology

if TYPE_CHECKING:
    from xdpctl.topology.draft import Entry
    from xdpctl.topology.read import Book

LONGEST = 400


def load(paths: Sequence[str], *, captures: bool = False) -> Topology:
    """The topology that files, directories and `-` (standard input) make up together.

    `captures`: read the frames that tests take from capture files, which nobody needs who does
    not run them. Raises TopologyError with every problem of every file.
    """
    problems: list[Problem] = []
    texts = source.read(paths, problems)
    if not paths:
        problems.append(Problem("-", 1, 1, "no topology file is given"))
    return _load(texts, problems, captures=captures)


def load_texts(texts: Mapping[str, str]) -> Topology:
    """The topology of files that are read already, by their names."""
    return _load(texts, [])


def _load(texts: Mapping[str, str], problems: list[Problem], *, captures: bool = False) -> Topology:
    # Imported late: pydantic and ruamel cost 100 ms, and other commands need neither.
    from xdpctl.topology.checks import findings
    from xdpctl.topology.deliveries import with_addresses
    from xdpctl.topology.expand import expand
    from xdpctl.topology.implied import with_implied
    from xdpctl.topology.order import ordered
    from xdpctl.topology.parse import parse
    from xdpctl.topology.read import Book, read, read_policies

    book = Book(problems, complete=not problems)
    for file, text in texts.items():
        root = parse(text, file, problems)
        if root is None:
            book.complete = False
        else:
            read(file, root, book)
    read_policies(book)
    if book.complete:
        problems += _missing(book, next(iter(texts), "-"))
    name = _header(book.headers.get("name", []), "name", problems)
    _header(book.headers.get("version", []), "version", problems)
    entries = with_implied(expand(str(name), book.drafts, problems), book.broken)
    entries = with_addresses(str(name), entries)
    problems += findings(entries, book)
    tests = _tests(entries, book, captures=captures) if book.cases else ()
    if problems:
        raise TopologyError([_one_line(problem) for problem in problems])
    devices = ordered({name: entry.device for name, entry in entries.items()})
    return Topology(
        str(name), devices, book.policies, dict(texts), tests, book.sets, dict(book.files)
    )


def _tests(entries: dict[str, Entry], book: Book, *, captures: bool) -> tuple[Case, ...]:
    from xdpctl.topology.checks.cases import resolved

    return resolved(entries, book, captures=captures)


def _one_line(problem: Problem) -> Problem:
    """The problem without line breaks and endless values that it quotes from the file."""
    message = " ".join(problem.message.split())
    if len(message) > LONGEST:
        message = message[:LONGEST] + "…"
    return replace(problem, message=message)


def _missing(book: Book, file: str) -> list[Problem]:
    """What no file has and one of them must."""
    there = {*book.headers, *(["devices"] if book.has_devices else [])}
    wanted = ("version", "name", "devices")
    return [Problem(file, 1, 1, f"{key} is missing") for key in wanted if key not in there]


def _header(found: list[tuple[Any, Location]], key: str, problems: list[Problem]) -> object:
    """The value that one file has and none contradicts."""
    if not found:
        return None
    value, first = found[0]
    for other, place in found[1:]:
        if str(other) != str(value):
            message = f"{key} is {other} here and {value} at {first}"
            problems.append(Problem(place.file, place.line, place.column, message))
    return value
