"""Files of entries, one a line, of which there may be a million.

Most lines are values without ranges and names: blocks of them are read by C functions. A block that
has anything else, right or wrong, is halved until its lines are looked at one by one.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import islice, repeat
from typing import Final, TextIO

from xdpctl.topology import leaf
from xdpctl.topology.form import Form
from xdpctl.topology.key_addresses import Address, Mac
from xdpctl.topology.key_forms import Number
from xdpctl.topology.model import Location
from xdpctl.topology.set_composite import Entries
from xdpctl.topology.set_types import Column, read

BLOCK: Final = 4096
"""Lines that are read at once; few enough to be halved quickly."""
_ONE_BY_ONE: Final = 4
_END = " ; "
_NUMBERS = re.compile(r"(?:(?:0|[1-9][0-9]{0,4})\n)*")
_MACS = re.compile(r"(?:[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\n)*")
_WORD = re.compile(r"[^\s,]+")

Wrong = Callable[[Location, str], bool]
"""Told of a wrong line and of what is wrong with it; whether to go on."""


def split(text: str, count: int) -> list[tuple[int, str]]:
    """The values of an entry in one text, and where each starts; nft's dots between are taken."""
    if count == 1:
        return [(len(text) - len(text.lstrip()), text.strip())]
    return [(found.start(), found[0]) for found in _WORD.finditer(text) if found[0] != "."]


def gather(stream: TextIO, path: str, entries: Entries, wrong: Wrong) -> None:
    """Add the entries of all lines."""
    quick = [_reader(form) for form in entries.forms]
    start = 1
    while lines := list(islice(stream, BLOCK)):
        if not _block(lines, start, path, entries, quick, wrong):
            return
        start += len(lines)


def _block(
    lines: Sequence[str],
    start: int,
    path: str,
    entries: Entries,
    quick: Sequence[Callable[[Sequence[str]], Column]],
    wrong: Wrong,
) -> bool:
    """Add the entries of some lines; whether to go on."""
    try:
        columns = _columns(lines, len(quick))
        entries.add_many([reads(texts) for reads, texts in zip(quick, columns, strict=True)])
    except (LookupError, OSError, ValueError):  # the careful way says what it is, or is not
        if len(lines) > _ONE_BY_ONE:
            half = len(lines) // 2
            return _block(lines[:half], start, path, entries, quick, wrong) and _block(
                lines[half:], start + half, path, entries, quick, wrong
            )
        return all(
            _line(line, Location(path, number, 1), entries, wrong)
            for number, line in enumerate(lines, start)
        )
    return True


def _line(line: str, where: Location, entries: Entries, wrong: Wrong) -> bool:
    """Add the entry of one line; whether to go on."""
    line = line.partition("#")[0]
    if not line.strip():
        return True
    words = split(line, len(entries.forms))
    try:
        entries.add(read(entries.names, entries.forms, [text for _, text in words]), where)
    except ValueError as error:
        index = error.path[0] if isinstance(error, leaf.Inside) else 0
        at = words[int(index)][0] if words else 0
        return wrong(Location(where.file, where.line, at + 1), str(error))
    return True


def _columns(lines: Sequence[str], count: int) -> Sequence[Sequence[str]]:
    """The values of lines, by their place in the entry; ValueError where some lack one."""
    text = "".join(lines)
    if "#" in text:
        lines = [line.partition("#")[0] for line in lines]
    lines = [*filter(None, map(str.strip, lines))]
    if count == 1:
        return (lines,)
    # One list of all words, as a list for each line would keep the garbage collector busy.
    text = _END.join([*lines, ""]).replace(",", " ").replace(" . ", " ")
    words = text.split()
    if words[count :: count + 1] != [_END.strip()] * len(lines):
        raise ValueError
    return [words[index :: count + 1] for index in range(count)]


def _reader(form: Form) -> Callable[[Sequence[str]], Column]:
    """Reads many values of a form; any error means that one must be looked at by itself."""
    if isinstance(form, Address):
        return partial(_addresses, form.version)
    if isinstance(form, Mac):
        return _macs
    assert isinstance(form, Number)
    return partial(_numbers, form)


def _addresses(version: int, texts: Sequence[str]) -> Column:
    bits = 32 if version == 4 else 128
    lengths: list[int] | None = None
    if "/" in "".join(texts):
        parted = [text.partition("/") for text in texts]
        texts, ends = [part[0] for part in parted], [part[1] + part[2] for part in parted]
        lengths = [*map(_lengths(bits).__getitem__, ends)]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    packed = b"".join(map(socket.inet_pton, repeat(family), texts))
    if version == 4:
        numbers = [*struct.unpack(f">{len(texts)}I", packed)]
    else:
        halves = iter(struct.unpack(f">{2 * len(texts)}Q", packed))
        numbers = [high << 64 | low for high, low in zip(halves, halves, strict=True)]
    if lengths is not None:
        for number, length in zip(numbers, lengths, strict=True):
            if number & (1 << bits - length) - 1:
                raise ValueError
    return Column(numbers, lengths)


@cache
def _lengths(bits: int) -> Mapping[str, int]:
    """Prefix lengths as they are written; nothing: all bits."""
    return {"": bits} | {f"/{length}": length for length in range(bits + 1)}


def _macs(texts: Sequence[str]) -> Column:
    text = "\n".join([*texts, ""])
    if not _MACS.fullmatch(text):
        raise ValueError
    packed = bytes.fromhex(text.replace(":", ""))
    return Column([int.from_bytes(packed[at : at + 6], "big") for at in range(0, len(packed), 6)])


def _numbers(form: Number, texts: Sequence[str]) -> Column:
    if _NUMBERS.fullmatch("\n".join([*texts, ""])):
        numbers = [*map(int, texts)]
    else:
        numbers = [form.known[text] if text in form.known else _number(text) for text in texts]
    if numbers and max(numbers) >> form.bits:
        raise ValueError
    return Column(numbers)


def _number(text: str) -> int:
    if not _NUMBERS.fullmatch(f"{text}\n"):
        raise ValueError
    return int(text)
