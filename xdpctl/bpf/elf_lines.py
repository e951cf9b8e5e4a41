"""The source lines of a user's object (its .BTF.ext section), for the programs that embed it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from xdpctl.bpf.encoding import INSTRUCTION
from xdpctl.topology.elf import BpfObject, Function
from xdpctl.topology.model import Location

_COLUMN_BITS = 10
_HEADER = struct.Struct("<HBBIIIII")
"""Of .BTF: magic, version, flags, length, types and strings; of .BTF.ext: functions and lines."""
_SECTION = struct.Struct("<II")
_LINE = struct.Struct("<IIII")
_Line = tuple[int, Location]


class SourceLines:
    """Lines by section; empty where the object was compiled without -g.

    `sources` are the files' texts as far as lines of them are known, the others left empty.
    """

    def __init__(self, found: BpfObject) -> None:
        self.sources: dict[str, str] = {}
        self._functions = {each.name: each for each in found.functions}
        self._lines: dict[str, list[_Line]] = {}
        texts: dict[str, dict[int, str]] = {}
        try:
            for section, offset, place, text in _records(found):
                self._lines.setdefault(section, []).append((offset, place))
                texts.setdefault(place.file, {})[place.line] = text
        except (struct.error, ValueError):  # lines are a comfort: libbpf judges the object
            return
        for file, known in texts.items():
            self.sources[file] = "\n".join(known.get(n, "") for n in range(1, max(known) + 1))

    def of(self, functions: Sequence[tuple[int, str]], count: int) -> Iterator[_Line]:
        """The lines of functions at these instructions, of `count` in all, in ascending order."""
        ends = [start for start, _ in functions[1:]] + [count]
        for (start, name), end in zip(functions, ends, strict=True):
            function = self._functions.get(name)
            if function is None or function.size != (end - start) * INSTRUCTION.size:
                continue  # not the one that was meant
            for offset, place in self._lines_within(function):
                yield start + (offset - function.start) // INSTRUCTION.size, place

    def _lines_within(self, function: Function) -> Iterator[_Line]:
        end = function.start + function.size
        for offset, place in self._lines.get(function.section, []):
            if function.start <= offset < end:
                yield offset, place


def _records(found: BpfObject) -> Iterator[tuple[str, int, Location, str]]:
    """(section, byte in it, place, text) of every line record."""
    _, _, _, length, _, _, text_at, _ = _HEADER.unpack_from(found.types)
    strings = found.types[length + text_at :]
    _, _, _, length, _, _, at, size = _HEADER.unpack_from(found.lines)
    lines = found.lines[length + at :][:size]
    (width,) = struct.unpack_from("<I", lines)
    at = 4
    while at < len(lines):
        name, count = _SECTION.unpack_from(lines, at)
        section = _text(strings, name)
        at += _SECTION.size
        for start in range(at, at + count * width, width):
            offset, file, text, place = _LINE.unpack_from(lines, start)
            line, column = place >> _COLUMN_BITS, place & ((1 << _COLUMN_BITS) - 1)
            if line:  # 0: made by the compiler
                location = Location(_text(strings, file), line, column)
                yield section, offset, location, _text(strings, text)
        at += count * width


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode(errors="replace")
