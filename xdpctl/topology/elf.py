"""BPF objects as clang writes them: which programs, maps and license an ELF file has.

Read without libbpf, so that a topology file is checked without root and without a kernel. Layout
after elf(5); what libbpf takes for a program after its bpf_object__add_programs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import field

from xdpctl.record import record

LARGEST = 16 * 1024 * 1024
MACHINE_BPF = 247
_MAGIC = b"\x7fELF"
_BITS_64, _LITTLE, _RELOCATABLE = 2, 1, 1
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_SYMBOLS, _NO_BITS, _RELOCATIONS = 2, 8, 9
_EXECUTABLE = 1 << 2
_OBJECT, _FUNCTION = 1, 2
_LOCAL = 0
_KEPT = ("license", ".BTF", ".BTF.ext")


@record
class Program:
    """A function that can be loaded by itself; one that is not global libbpf refuses."""

    name: str
    section: str
    is_global: bool


@record
class Function:
    """Any function, static ones and callbacks too: its section and the bytes it takes there."""

    name: str
    section: str
    start: int
    size: int


@record
class BpfObject:
    """What a BPF object holds.

    members      names of the programs that a map of programs is declared with
    functions    all functions, to find their source lines in
    types, lines the sections .BTF and .BTF.ext, empty where it was compiled without -g
    data         the file itself, as it was judged: load this, not the file again
    """

    programs: tuple[Program, ...]
    license: str
    maps: tuple[str, ...]
    members: tuple[str, ...]
    functions: tuple[Function, ...] = field(repr=False)
    types: bytes = field(repr=False)
    lines: bytes = field(repr=False)
    data: bytes = field(repr=False)


@record
class _Section:
    name: str
    kind: int
    flags: int
    link: int
    info: int
    body: memoryview


@record
class _Symbol:
    name: str
    kind: int
    binding: int
    section: int
    start: int
    size: int


def read(path: str) -> BpfObject:
    """The object in a file; ValueError (a sentence that goes on after its name) if it is none."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB, the limit")
    return parse(data)


def parse(data: bytes) -> BpfObject:
    """The object in a file's contents; ValueError as of `read`."""
    _check_identity(data)
    try:
        sections = _sections(data)
        symbols = list(_symbols(sections))
        members = tuple(_members(sections, symbols))
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError):
        raise ValueError("is cut off, or broken") from None
    functions = [each for each in symbols if each.kind == _FUNCTION and _is_code(sections, each)]
    bodies = {each.name: bytes(each.body) for each in sections if each.name in _KEPT}
    return BpfObject(
        programs=tuple(
            Program(each.name, sections[each.section].name, each.binding != _LOCAL)
            for each in functions
            if sections[each.section].name != ".text"  # holds what programs call
        ),
        license=bodies.get("license", b"").split(b"\0", 1)[0].decode(errors="replace"),
        maps=tuple(
            each.name
            for each in symbols
            if each.kind == _OBJECT and _name_of(sections, each) == ".maps"
        ),
        members=members,
        functions=tuple(
            Function(each.name, sections[each.section].name, each.start, each.size)
            for each in functions
        ),
        types=bodies.get(".BTF", b""),
        lines=bodies.get(".BTF.ext", b""),
        data=data,
    )


def _check_identity(data: bytes) -> None:
    if data[:4] != _MAGIC:
        raise ValueError("is no ELF file")
    if len(data) < _HEADER.size:
        raise ValueError("is cut off, or broken")
    identity, kind, machine, *_ = _HEADER.unpack_from(data)
    if identity[5] != _LITTLE:
        raise ValueError("is compiled for big-endian machines: use clang -target bpfel")
    if identity[4] != _BITS_64 or machine != MACHINE_BPF:
        raise ValueError(f"is no BPF object (machine {machine}): use clang -target bpf")
    if kind != _RELOCATABLE:
        raise ValueError(f"is no relocatable object (type {kind}): use clang -c")


def _sections(data: bytes) -> list[_Section]:
    """All sections with their bodies; IndexError where one reaches beyond the file."""
    header = _HEADER.unpack_from(data)
    table, count, names_index = header[6], header[12], header[13]
    raw = [_SECTION.unpack_from(data, table + at * _SECTION.size) for at in range(count)]
    bodies = [_taken(data, one[4], 0 if one[1] == _NO_BITS else one[5]) for one in raw]
    return [
        _Section(_text(bodies[names_index], one[0]), one[1], one[2], one[6], one[7], body)
        for one, body in zip(raw, bodies, strict=True)
    ]


def _symbols(sections: list[_Section]) -> Iterator[_Symbol]:
    for table in sections:
        if table.kind != _SYMBOLS:
            continue
        names = sections[table.link].body
        for name, info, _, section, start, size in _SYMBOL.iter_unpack(table.body):
            yield _Symbol(_text(names, name), info & 0xF, info >> 4, section, start, size)


def _members(sections: list[_Section], symbols: list[_Symbol]) -> Iterator[str]:
    """Programs that map definitions refer to: the initial values of program arrays."""
    for table in sections:
        if table.kind == _RELOCATIONS and sections[table.info].name == ".maps":
            for _, info in _RELOCATION.iter_unpack(table.body):
                if symbols[info >> 32].kind == _FUNCTION:
                    yield symbols[info >> 32].name


def _is_code(sections: list[_Section], symbol: _Symbol) -> bool:
    return 0 < symbol.section < len(sections) and bool(sections[symbol.section].flags & _EXECUTABLE)


def _name_of(sections: list[_Section], symbol: _Symbol) -> str:
    """The name of a symbol's section; numbers above the table are no sections (SHN_ABS)."""
    return sections[symbol.section].name if symbol.section < len(sections) else ""


def _taken(data: bytes, at: int, length: int) -> memoryview:
    if at + length > len(data):
        raise IndexError
    return memoryview(data)[at : at + length]


def _text(strings: memoryview, at: int) -> str:
    """The string that begins there; IndexError where it does not end."""
    end = at
    while strings[end]:
        end += 1
    return bytes(strings[at:end]).decode()
