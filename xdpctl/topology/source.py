"""Reads the files of a topology: names from the command line to texts and trees."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from xdpctl.errors import Problem

MAX_BYTES = 8 * 1024 * 1024
STDIN = "<stdin>"


def read(paths: Sequence[str], problems: list[Problem]) -> Mapping[str, str]:
    """The texts of all files by the name the user gave; what cannot be read goes to `problems`.

    A directory stands for all *.yaml and *.yml right in it, sorted; `-` is the standard input.
    A file that is named twice is read once.
    """
    texts: dict[str, str] = {}
    seen: set[str] = set()
    for path in paths:
        for file in _files(path, problems):
            real = file if "\0" in file else os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                text = _read(file, problems)
                if text is not None:
                    texts[STDIN if file == "-" else file] = text
    return texts


def _files(path: str, problems: list[Problem]) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        problems.append(_unreadable(path, error))
        return
    files = [name for name in names if name.endswith((".yaml", ".yml")) and name[0] != "."]
    if not files:
        problems.append(Problem(path, 1, 1, "no *.yaml or *.yml in this directory"))
    for name in files:
        yield os.path.join(path, name)


def _read(file: str, problems: list[Problem]) -> str | None:
    shown = STDIN if file == "-" else file
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(file, "rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        problems.append(_unreadable(shown, error))
        return None
    if len(raw) > MAX_BYTES:
        limit = MAX_BYTES // (1024 * 1024)
        problems.append(Problem(shown, 1, 1, f"the file is larger than {limit} MiB, the limit"))
        return None
    return decode(raw, shown, problems)


def decode(raw: bytes, file: str, problems: list[Problem]) -> str | None:
    """The text, without a byte order mark; None where it is no UTF-8."""
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            what = "the file is UTF-16: write it as UTF-8"
        problems.append(Problem(file, line, column, what))
        return None


def _unreadable(file: str, error: OSError | ValueError) -> Problem:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Problem(file, 1, 1, f"cannot be read: {reason}")
