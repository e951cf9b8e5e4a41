"""BTF for programs: functions with names, and the source line of every instruction.

With it `bpftool prog dump xlated` shows the user's own YAML above the instructions made of it,
and the verifier names the line when it refuses one. Layout after the kernel's
Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from xdpctl.record import record
from xdpctl.topology.model import Location

_HEADER = struct.Struct("=HBBIIIII")
_TYPE = struct.Struct("=III")
_MAGIC, _VERSION = 0xEB9F, 1
_KIND_INT, _KIND_FUNC, _KIND_FUNC_PROTO = 1, 12, 13
_INT_SIGNED_32 = 1 << 24 | 32
_FUNC_STATIC = 0
_INT_ID, _PROTO_ID, _FUNCTION_ID = 1, 2, 3
_COLUMN_BITS = 10
_LONGEST_LINE = 200

FUNC_INFO = struct.Struct("=II")
"""struct bpf_func_info: first instruction, type of the function."""
LINE_INFO = struct.Struct("=IIII")
"""struct bpf_line_info: instruction, file name, line's text, line and column."""


@record
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
    function: str,
    lines: Sequence[tuple[int, Location]],
    sources: Mapping[str, str],
    functions: Sequence[tuple[int, str]] = (),
) -> Debug:
    """The BTF of a program whose main function has this name, a C identifier.

    `lines` are (first instruction, place) in ascending order; `sources` the files' texts. What
    comes before the first is the dispatcher's own and belongs to the function's name.
    `functions` are (first instruction, name) of the others, in ascending order: the kernel wants
    a func_info record for each and a line record at its start (check_btf_func, check_btf_line).
    """
    strings = _Strings()
    types = _int(strings.offset("int")) + _proto()
    starts = [(0, function), *functions]
    records: dict[int, bytes] = {}
    for start, name in starts:
        offset = strings.offset(_identifier(name))
        types += _function(offset)
        records[start] = LINE_INFO.pack(start, offset, offset, 0)
    further = {start for start, _ in functions}
    split: dict[str, list[str]] = {}
    for instruction, place in lines:
        if instruction in records and instruction not in further:
            continue  # two places for one instruction: the first it is
        further.discard(instruction)
        records[instruction] = _line(strings, split, sources, instruction, place)
    section = strings.section()
    header = _HEADER.pack(
        _MAGIC, _VERSION, 0, _HEADER.size, 0, len(types), len(types), len(section)
    )
    info = [FUNC_INFO.pack(start, _FUNCTION_ID + at) for at, (start, _) in enumerate(starts)]
    ordered = b"".join(record for _, record in sorted(records.items()))
    return Debug(header + types + section, b"".join(info), ordered)


def _line(
    strings: _Strings,
    split: dict[str, list[str]],
    sources: Mapping[str, str],
    instruction: int,
    place: Location,
) -> bytes:
    """The record of one place; `split` keeps the lines of the files that were looked at."""
    if place.file not in split:
        split[place.file] = sources.get(place.file, "").splitlines()
    text = split[place.file][place.line - 1] if place.line <= len(split[place.file]) else ""
    return LINE_INFO.pack(
        instruction,
        strings.offset(place.file),
        strings.offset(text.strip()[:_LONGEST_LINE]),
        place.line << _COLUMN_BITS | min(place.column, (1 << _COLUMN_BITS) - 1),
    )


def _identifier(name: str) -> str:
    """The name as the kernel takes a function's (btf_name_valid_identifier)."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    return kept if kept[:1].isalpha() or kept[:1] == "_" else f"_{kept}"


def _info(kind: int, extra: int = 0) -> int:
    return kind << 24 | extra


def _int(name: int) -> bytes:
    return _TYPE.pack(name, _info(_KIND_INT), 4) + struct.pack("=I", _INT_SIGNED_32)


def _proto() -> bytes:
    """`int (void)`: the kernel knows the context's type by the kind of program."""
    return _TYPE.pack(0, _info(_KIND_FUNC_PROTO), _INT_ID)


def _function(name: int) -> bytes:
    return _TYPE.pack(name, _info(_KIND_FUNC, _FUNC_STATIC), _PROTO_ID)
