"""Users' own ELF objects: libbpf loads them, and gives back what is embedded into our programs.

libbpf applies CO-RE, makes the maps and fills in their descriptors, and the kernel verifies each
program by itself, so its author gets the complaint with lines of the source. The instructions as
they were loaded (bpf_program__insns, kept until the object is closed) then go into our own.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from xdpctl.bpf import complaint, elf_maps, embedded
from xdpctl.bpf.closing import Closing
from xdpctl.bpf.elf_lines import SourceLines
from xdpctl.bpf.elf_maps import UserMap
from xdpctl.bpf.embedded import Embedded
from xdpctl.bpf.encoding import INSTRUCTION
from xdpctl.bpf.function_names import function_names
from xdpctl.bpf.libbpf import ObjectOpenOpts, call, library, refusal
from xdpctl.bpf.program import Flavour
from xdpctl.errors import KernelError, NotPermitted, XdpctlError
from xdpctl.topology.elf import BpfObject

LOG_SIZE = 16 * 1024 * 1024
"""For the verifier's log, of the path that it refuses. Memory is used as far as it is written."""
NO_MAPS: Final[Mapping[str, int]] = {}
NO_PINS: Final[Mapping[str, Path]] = {}


class LoadedObject(Closing):
    """A loaded object. Its descriptors are open until `close`; what was made of it lives on.

    programs  what to embed, by the program's name
    maps      by their names; `.bss`, `.data`, `.rodata` are the global variables
    """

    __slots__ = ("_handle", "maps", "programs")

    def __init__(
        self, handle: int, programs: dict[str, Embedded], maps: dict[str, UserMap]
    ) -> None:
        self._handle = handle
        self.programs = programs
        self.maps = maps

    def close(self) -> None:
        """Close all of its descriptors; maps live on in what embeds its programs, and in pins."""
        if self._handle:
            library().bpf_object__close(self._handle)
            self._handle = 0


def load(
    found: BpfObject,
    file: str,
    wanted: Mapping[str, Flavour],
    *,
    pins: Mapping[str, Path] = NO_PINS,
    kept: Mapping[str, int] = NO_MAPS,
    private: bool = False,
) -> LoadedObject:
    """Load the `wanted` programs of an object; `file` is its name in messages.

    pins     where maps are pinned, by name: the map pinned there is used, or the new one pinned
    kept     descriptors of live maps to go on with, by name; one of another shape is made anew
    private  no map is shared, and nothing pinned, whatever the object itself says
    Raises KernelError (the verifier's complaint, shortened), ConflictError (another map is pinned
    there), NotPermitted, or XdpctlError (a program that cannot be embedded, a name not there).
    """
    log = mmap.mmap(-1, LOG_SIZE)
    with complaint.listening() as heard:
        handle = _open(found, file, log, heard)
        try:
            chosen = _choose(handle, {**dict.fromkeys(found.members), **wanted})
            _check_known(file, wanted, chosen)
            shared = elf_maps.prepare(handle, file, pins, kept, private=private)
            _load(handle, file, log, heard)
            lines = SourceLines(found)
            programs = {name: _embedded(handle, chosen[name], name, file, lines) for name in wanted}
            return LoadedObject(handle, programs, elf_maps.opened(handle, shared))
        except BaseException:
            library().bpf_object__close(handle)
            raise


def _open(found: BpfObject, file: str, log: mmap.mmap, heard: list[str]) -> int:
    """libbpf's handle. The maps of global variables get the file's name before theirs."""
    options = ObjectOpenOpts(
        sz=ctypes.sizeof(ObjectOpenOpts),
        object_name=Path(file).name.partition(".")[0].encode(),
        kernel_log_buf=ctypes.addressof(ctypes.c_char.from_buffer(log)),
        kernel_log_size=LOG_SIZE,
    )
    handle = library().bpf_object__open_mem(found.data, len(found.data), ctypes.byref(options))
    if not handle:
        raise _refused(f"open {file}", ctypes.get_errno(), heard, "")
    return int(handle)


def _load(handle: int, file: str, log: mmap.mmap, heard: list[str]) -> None:
    result = library().bpf_object__load(handle)
    if result < 0:
        text = log[: log.find(b"\0")].decode(errors="replace")
        raise _refused(f"load {file}", -result, heard, text)


def _choose(handle: int, flavours: Mapping[str, Flavour | None]) -> dict[str, int]:
    """Have these programs loaded and no other; None leaves the type to the section's name."""
    chosen = {}
    for name, program in _programs(handle):
        library().bpf_program__set_autoload(program, name in flavours)
        flavour = flavours.get(name)
        if flavour is not None:
            kind = flavour.value
            call("bpf_program__set_type", program, kind.type)
            call("bpf_program__set_expected_attach_type", program, kind.attach_type)
        chosen[name] = program
    return chosen


def _programs(handle: int) -> Iterator[tuple[str, int]]:
    program = library().bpf_object__next_program(handle, None)
    while program:
        yield library().bpf_program__name(program).decode(), program
        program = library().bpf_object__next_program(handle, program)


def _check_known(file: str, wanted: Mapping[str, Flavour], known: Mapping[str, int]) -> None:
    for name in wanted:
        if name not in known:
            raise XdpctlError(f"{file} has no program {name} (it has {', '.join(known) or 'none'})")


def _embedded(handle: int, program: int, name: str, file: str, lines: SourceLines) -> Embedded:
    """The instructions as they were loaded: relocated, with all that the program calls."""
    count = library().bpf_program__insn_cnt(program)
    code = ctypes.string_at(library().bpf_program__insns(program), count * INSTRUCTION.size)
    try:
        starts = embedded.starts(code)
    except ValueError as error:
        raise XdpctlError(f"{file}: program {name} {error}: it cannot be embedded") from None
    names = function_names(library().bpf_program__fd(program), library().bpf_object__btf(handle))
    functions = embedded.named(starts, names, name)
    places = lines.of(functions, count)
    return Embedded(code, tuple(functions), tuple(places), lines.sources)


def _refused(operation: str, number: int, heard: list[str], log: str) -> KernelError | NotPermitted:
    """The exception for what libbpf or the kernel refused, with the fix where it is known."""
    reason = complaint.told(heard, log)
    error = refusal(operation, number or errno.EINVAL, reason)
    if isinstance(error, KernelError):
        error.hint = complaint.hint(reason)
    return error
