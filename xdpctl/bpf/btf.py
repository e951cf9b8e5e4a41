"""BTF for programs: a function with a name, and the source line of every instruction.

With it `bpftool prog dump xlated` shows the user's own YAML above the instructions made of it,
and the verifier names the line when it refuses one. Layout after the kernel's
Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdpctl.topology.model import Location

_HEADER = struct.Struct("=HBBIIIII")
_TYPE = struct.Struct("=III")
_MAGIC, _VERSION = 0xEB9F, 1
_KIND_INT, _KIND_FUNC, _KIND_FUNC_PROTO = 1, 12, 13
_INT_SIGNED_32 = 1 << 24 | 32
_FUNC_STATIC = 0
_INT_ID, _PROTO_ID, FUNCTION_ID = 1, 2, 3
_COLUMN_BITS = 10
_LONGEST_LINE = 200

FUNC_INFO = struct.Struct("=II")
"""struct bpf_func_info: first instruction, type of the function."""
LINE_INFO = struct.Struct("=IIII")
"""struct bpf_line_info: instruction, file name, line's text, line and column."""


@dataclass(frozen=True, slots=True)
class Debug:
    """What a program is loaded with: its BTF, and the records that refer to it."""

    btf: bytes
    function: bytes
    lines: bytes


class _Strings:
    """The string section: each string once, by its offset."""

    def __init__(self) -> None:
        self._text = bytearray(1)
        self._known: dict[str, int] = {"": 0}

    def offset(self, text: str) -> int:
        """Where the string stands; NUL would end it, so it is left out."""
        if text not in self._known:
            self._known[text] = len(self._text)
            self._text += text.replace("\0", "").encode() + b"\0"
        return self._known[text]

    def section(self) -> bytes:
        """All strings."""
        return bytes(self._text)


def describe(
    function: str, lines: Sequence[tuple[int, Location]], sources: Mapping[str, str]
) -> Debug:
    """The BTF of a program of one function, a C identifier.

    `lines` are (first instruction, place) in ascending order; `sources` the files' texts. What
    comes before the first is the dispatcher's own and belongs to the function's name.
    """
    strings = _Strings()
    types = _int(strings.offset("int")) + _proto() + _function(strings.offset(function))
    records = [LINE_INFO.pack(0, strings.offset(function), strings.offset(function), 0)]
    split: dict[str, list[str]] = {}
    last = 0
    for instruction, place in lines:
        if instruction <= last:
            continue  # two places for one instruction: the first it is
        if place.file not in split:
            split[place.file] = sources.get(place.file, "").splitlines()
        text = split[place.file][place.line - 1] if place.line <= len(split[place.file]) else ""
        records.append(
            LINE_INFO.pack(
                instruction,
                strings.offset(place.file),
                strings.offset(text.strip()[:_LONGEST_LINE]),
                place.line << _COLUMN_BITS | min(place.column, (1 << _COLUMN_BITS) - 1),
            )
        )
        last = instruction
    section = strings.section()
    header = _HEADER.pack(
        _MAGIC, _VERSION, 0, _HEADER.size, 0, len(types), len(types), len(section)
    )
    return Debug(header + types + section, FUNC_INFO.pack(0, FUNCTION_ID), b"".join(records))


def _info(kind: int, extra: int = 0) -> int:
    return kind << 24 | extra


def _int(name: int) -> bytes:
    return _TYPE.pack(name, _info(_KIND_INT), 4) + struct.pack("=I", _INT_SIGNED_32)


def _proto() -> bytes:
    """`int (void)`: the kernel knows the context's type by the kind of program."""
    return _TYPE.pack(0, _info(_KIND_FUNC_PROTO), _INT_ID)


def _function(name: int) -> bytes:
    return _TYPE.pack(name, _info(_KIND_FUNC, _FUNC_STATIC), _PROTO_ID)
