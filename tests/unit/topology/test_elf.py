"""BPF objects: what is read of them, every way in which they are broken, what can be a stage."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from xdpctl.topology import fitness
from xdpctl.topology.elf import Function, Program, parse, read

FUNCTION, OBJECT, GLOBAL, LOCAL, WEAK = 2, 1, 1, 0, 2
PROGRAM, SYMBOLS, STRINGS, NO_BITS, RELOCATIONS = 1, 2, 3, 8, 9
EXECUTABLE = 4


@dataclass
class Section:
    name: str
    body: bytes = b""
    kind: int = PROGRAM
    flags: int = 0
    link: int = 0
    info: int = 0


@dataclass
class Symbol:
    name: str
    section: int
    kind: int = FUNCTION
    binding: int = GLOBAL
    start: int = 0
    size: int = 16


def elf(
    sections: list[Section],
    symbols: list[Symbol],
    *,
    order: int = 1,
    bits: int = 2,
    kind: int = 1,
    machine: int = 247,
) -> bytes:
    """A file of these sections; symbols name them by their number, which counts from 1."""
    names = bytearray(1)
    table = bytearray(24)
    for one in symbols:
        info = one.binding << 4 | one.kind
        table += struct.pack("<IBBHQQ", len(names), info, 0, one.section, one.start, one.size)
        names += one.name.encode() + b"\0"
    last = len(sections) + 1
    whole = [Section("", kind=0), *sections, Section(".symtab", bytes(table), SYMBOLS, 0, last + 1)]
    whole.append(Section(".strtab", b"", STRINGS))
    places = []
    for each in whole:
        places.append(len(names))
        names += each.name.encode() + b"\0"
    whole[-1].body = bytes(names)
    data, headers = bytearray(64), bytearray()
    for place, each in zip(places, whole, strict=True):
        headers += struct.pack(
            "<IIQQQQIIQQ", place, each.kind, each.flags, 0, len(data), len(each.body),
            each.link, each.info, 1, 0,
        )  # fmt: skip
        if each.kind != NO_BITS:
            data += each.body
    identity = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, kind, machine, 1, 0, 0, len(data), 0, 64, 0, 0, 64,
        len(whole), len(whole) - 1,
    )  # fmt: skip
    return header + bytes(data[64:] + headers)


def policy(section: str = "xdp.frags", terms: str = "GPL", binding: int = GLOBAL) -> bytes:
    """An object of one program, its tc companion, a map, a global variable and a callback."""
    relocation = struct.pack("<QQ", 0, 4 << 32 | 2) + struct.pack("<QQ", 8, 5 << 32 | 2)
    return elf(
        [
            Section(".text", bytes(32), flags=EXECUTABLE),
            Section(section, bytes(64), flags=EXECUTABLE),
            Section("tc", bytes(16), flags=EXECUTABLE),
            Section(".maps", bytes(16)),
            Section("license", terms.encode() + b"\0"),
            Section(".bss", bytes(4096), NO_BITS),
            Section(".rel.maps", relocation, RELOCATIONS, link=10, info=4),
            Section(".BTF", b"types"),
            Section(".BTF.ext", b"lines"),
        ],
        [
            Symbol("callback", 1, binding=LOCAL),
            Symbol("xdp_main", 2, binding=binding, size=48),
            Symbol("xdp_main_tc", 3),
            Symbol("other", 2, binding=WEAK, start=48),
            Symbol("counts", 4, OBJECT),
            Symbol("seen", 6, OBJECT),
            Symbol("mine.bpf.c", 0xFFF1, 4, LOCAL),
        ],
    )


def test_what_an_object_holds() -> None:
    found = parse(policy())
    assert found.programs == (
        Program("xdp_main", "xdp.frags", is_global=True),
        Program("xdp_main_tc", "tc", is_global=True),
        Program("other", "xdp.frags", is_global=True),
    )
    assert found.maps == ("counts",)
    assert found.license == "GPL"
    assert found.members == ("other",)
    assert found.functions[0] == Function("callback", ".text", 0, 16)
    assert (found.types, found.lines) == (b"types", b"lines")
    assert found.data == policy()


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.bpf.o").write_bytes(policy())
    assert read(str(tmp_path / "mine.bpf.o")) == parse(policy())


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^cannot be read: No such file"):
        read(str(tmp_path / "none.o"))
    with pytest.raises(ValueError, match=r"^cannot be read: Is a directory"):
        read(str(tmp_path))


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    with open(tmp_path / "big.o", "wb") as stream:
        stream.truncate((16 << 20) + 1)
    with pytest.raises(ValueError, match=r"^is larger than 16 MiB"):
        read(str(tmp_path / "big.o"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no ELF file"),
        (b"int main;", "is no ELF file"),
        (b"\x7fELF\x02\x01", "is cut off"),
        (elf([], [], machine=62), r"is no BPF object \(machine 62\): use clang -target bpf"),
        (elf([], [], machine=62, kind=3), r"is no BPF object \(machine 62\)"),
        (elf([], [], bits=1), "is no BPF object"),
        (elf([], [], order=2), "is compiled for big-endian machines: use clang -target bpfel"),
        (elf([], [], kind=3), r"is no relocatable object \(type 3\): use clang -c"),
        (policy()[:-1], "is cut off"),
        (elf([Section("x")], [])[:-100], "is cut off"),
        (elf([Section("x", kind=SYMBOLS, link=99, body=bytes(24))], []), "is cut off"),
        (elf([Section("x", kind=SYMBOLS, link=0, body=bytes(24))], []), "is cut off"),
        (elf([Section("x", kind=SYMBOLS, link=3, body=bytes(23))], []), "is cut off"),
        (
            elf([Section(".maps"), Section("r", bytes(8) + b"\xff" * 8, RELOCATIONS, 0, 0, 1)], []),
            "is cut off",
        ),
    ],
)
def test_what_is_broken(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        parse(data)


def test_a_section_beyond_the_end() -> None:
    data = bytearray(policy())
    (headers,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<Q", data, headers + 2 * 64 + 32, len(data))
    with pytest.raises(ValueError, match="is cut off"):
        parse(bytes(data))


def test_every_cut_is_told() -> None:
    """No other error than ValueError, wherever a file ends and whichever byte is another."""
    whole = policy()
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"^is (cut off|no ELF file)"):
            parse(whole[:end])
    for at in range(len(whole)):
        for byte in (0, 1, 0xFF):
            try:
                parse(whole[:at] + bytes([byte]) + whole[at + 1 :])
            except ValueError:
                continue


# --- what can be a stage


@pytest.mark.parametrize(
    ("section", "hook"),
    [
        ("xdp.frags", "xdp"), ("?xdp.frags", "xdp"), ("tc", "tc"), ("tcx/ingress", "tc"),
        ("classifier", "tc"), ("action", "tc"), ("xdp", None), ("xdp.frags/devmap", None),
        ("tcx/egress", None), ("kprobe/x", None), (".text", None),
    ],
)  # fmt: skip
def test_where_a_section_runs(section: str, hook: str | None) -> None:
    assert fitness.hook(section) == hook


@pytest.mark.parametrize("section", ["xdp.frags", "?xdp.frags"])
def test_a_program_that_fits(section: str) -> None:
    found = parse(policy(section))
    assert fitness.objection(found, "xdp_main", "xdp") is None
    assert fitness.objection(found, "xdp_main_tc", "tc") is None
    assert fitness.companion(found, "xdp_main") == "xdp_main_tc"
    assert fitness.companion(found, "other") is None


@pytest.mark.parametrize("terms", sorted(fitness.LICENSES))
def test_licenses_that_the_kernel_takes(terms: str) -> None:
    assert fitness.objection(parse(policy(terms=terms)), "xdp_main", "xdp") is None


@pytest.mark.parametrize(
    ("data", "name", "hook", "told"),
    [
        (policy(), "xdp_mian", "xdp", "has no program xdp_mian (did you mean xdp_main?)"),
        (policy(), "guard", "xdp", "has no program guard (it has xdp_main, other)"),
        (policy("xdp"), "guard", "xdp", 'has no program guard (nor any in SEC("xdp.frags"))'),
        (policy(), "callback", "xdp", "has no program callback"),
        (policy("xdp"), "xdp_main", "xdp", 'in section "xdp": write SEC("xdp.frags"), as'),
        (policy("xdp_old"), "xdp_main", "xdp", 'write SEC("xdp.frags")'),
        (policy("xdp/devmap"), "xdp_main", "xdp", "runs from a map of devices or CPUs"),
        (policy("xdp.frags/cpumap"), "xdp_main", "xdp", "runs from a map of devices or CPUs"),
        (policy("kprobe/ip_rcv"), "xdp_main", "xdp", "a stage is an XDP program"),
        (policy(), "xdp_main_tc", "xdp", 'has xdp_main_tc in section "tc": a stage is an XDP'),
        (policy(), "xdp_main", "tc", 'a program of the backstop stands in SEC("tc")'),
        (policy(binding=LOCAL), "xdp_main", "xdp", "leave out `static`"),
        (policy(terms=""), "xdp_main", "xdp", 'has no license, but becomes part of a program'),
        (policy(terms="MIT"), "xdp_main", "xdp", 'has the license "MIT", but becomes part'),
        (policy(terms="gpl"), "xdp_main", "xdp", 'has the license "gpl", but becomes part'),
    ],
)  # fmt: skip
def test_why_a_program_is_no_stage(data: bytes, name: str, hook: fitness.Hook, told: str) -> None:
    assert told in str(fitness.objection(parse(data), name, hook))
