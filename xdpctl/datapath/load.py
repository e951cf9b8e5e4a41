"""From descriptions and map contents to loaded programs and filled maps."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xdpctl.bpf import btf, maps, program
from xdpctl.bpf.asm import Assembler
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath import backstop, emit, live, pipeline
from xdpctl.datapath.description import SMALLEST_BLOCK, Description
from xdpctl.datapath.emit import Stage
from xdpctl.datapath.layout import (
    ADDRESS_BITS,
    COUNTER,
    EMPTY_SLOT,
    ENTRY,
    INDEX,
    META,
    SLOT,
)
from xdpctl.datapath.live import Entry, Slot
from xdpctl.datapath.tables import Tables
from xdpctl.topology.model import Policy

PROGRAMS = 2


@dataclass(slots=True)
class PipelineMaps:
    """The open maps of one pipeline."""

    slots: Map
    displacements: Map
    counters: Map
    entries: Map
    programs: Map

    def close(self) -> None:
        """Give all descriptors back."""
        for each in self.all():
            each.close()

    def all(self) -> tuple[Map, ...]:
        """Every map of the pipeline but its description."""
        return (self.slots, self.displacements, self.counters, self.entries, self.programs)


def open_maps(ids: Mapping[str, int]) -> PipelineMaps:
    """Open the maps of a loaded pipeline."""
    return PipelineMaps(
        slots=maps.open_id(ids[live.SLOTS]),
        displacements=maps.open_id(ids[live.DISPLACEMENTS]),
        counters=maps.open_id(ids[live.COUNTERS]),
        entries=maps.open_id(ids[live.ENTRIES]),
        programs=maps.open_id(ids[live.PROGRAMS]),
    )


def create_maps(tables: Tables, programs: Map | None) -> PipelineMaps:
    """New maps with the tables' contents; the program array is kept where there is one."""
    shape, total = tables.description.shape, tables.description.counters
    entries = max(1, total // SMALLEST_BLOCK)  # full no sooner than the counters are
    made = PipelineMaps(
        slots=maps.create(MapType.ARRAY, 4, SLOT.size, shape.slots + 1, live.SLOTS),
        displacements=maps.create(MapType.ARRAY, 4, 4, shape.buckets, live.DISPLACEMENTS),
        counters=maps.create(MapType.PERCPU_ARRAY, 4, COUNTER.size, total, live.COUNTERS),
        entries=maps.create(
            MapType.HASH, 4, ENTRY.size, entries, live.ENTRIES, flags=maps.BPF_F_NO_PREALLOC
        ),
        programs=programs or maps.create(MapType.PROG_ARRAY, 4, 4, PROGRAMS, live.PROGRAMS),
    )
    contents = dict.fromkeys(range(shape.slots + 1), EMPTY_SLOT)
    contents |= {position: slot_bytes(slot) for position, slot in tables.slots.items()}
    write_array(made.slots, contents)
    write_array(made.displacements, displacement_bytes(tables.displacements))
    write_entries(made.entries, tables.entries)
    return made


def slot_bytes(slot: Slot) -> bytes:
    """A slot as the dispatcher reads it."""
    return SLOT.pack(slot.address | slot.policy << ADDRESS_BITS, slot.block, slot.ifindex)


def displacement_bytes(displacements: Mapping[int, int]) -> dict[int, bytes]:
    """Displacements as the dispatcher reads them."""
    return {bucket: INDEX.pack(shift) for bucket, shift in displacements.items()}


def write_array(target: Map, contents: Mapping[int, bytes]) -> None:
    """Write these elements of an array in one call."""
    keys = struct.pack(f"={len(contents)}I", *contents)
    target.update_batch(keys, b"".join(contents.values()))


def write_entries(target: Map, entries: Mapping[int, Entry]) -> None:
    """Write these devices' entries in one call."""
    keys = struct.pack(f"={len(entries)}I", *entries)
    values = [ENTRY.pack(each.policy, each.flood, each.block) for each in entries.values()]
    target.update_batch(keys, b"".join(values))


def zero_counters(target: Map, fresh: tuple[tuple[int, int], ...]) -> None:
    """Start these blocks from nothing: they may have been a deleted device's."""
    numbers = [number for start, size in fresh for number in range(start, start + size)]
    write_array(target, dict.fromkeys(numbers, bytes(target.width)))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A program, and the program array of its parts where it has any.

    The array must be pinned before the program runs: it loses its members with its last user
    reference, which a program is not (kernel/bpf/syscall.c, bpf_map_put_uref).
    """

    program: program.Program
    parts: Map | None = None

    def close(self) -> None:
        """Give the descriptors back."""
        self.program.close()
        if self.parts is not None:
            self.parts.close()


def load_pipeline(
    described: Description,
    policies: Mapping[str, Policy],
    opened: PipelineMaps,
    sources: Mapping[str, str],
) -> Loaded:
    """The root's program, its description and all its maps bound to its life."""
    counters = opened.counters.fd
    parts = _load_parts(
        described,
        policies,
        program.Flavour.XDP,
        lambda found: pipeline.assemble_part(found, counters, described.nonce),
        sources,
    )
    parts_fd = parts.fd if parts is not None else None
    fds = pipeline.PipelineMaps(opened.slots.fd, opened.displacements.fd, counters, parts_fd)
    asm = pipeline.assemble(described, policies, fds)
    loaded = _load(asm, program.Flavour.XDP, live.PIPELINE, sources)
    value = described.encode()
    with maps.create(MapType.ARRAY, 4, len(value), 1, META) as meta:
        meta.update(INDEX.pack(0), value)
        loaded.bind(meta.fd)
    for each in opened.all():
        loaded.bind(each.fd)  # those it does not name itself, too: they are found through it
    return Loaded(loaded, parts)


def load_police(
    described: Description,
    policies: Mapping[str, Policy],
    opened: PipelineMaps,
    sources: Mapping[str, str],
) -> Loaded:
    """The program behind the devices' gates."""
    counters = opened.counters.fd
    parts = _load_parts(
        described,
        policies,
        program.Flavour.TC,
        lambda found: backstop.assemble_part(found, counters),
        sources,
    )
    parts_fd = parts.fd if parts is not None else None
    fds = backstop.BackstopMaps(opened.entries.fd, counters, parts_fd)
    asm = backstop.assemble_police(described, policies, fds)
    return Loaded(_load(asm, program.Flavour.TC, "xdpctl_police", sources), parts)


def _load_parts(
    described: Description,
    policies: Mapping[str, Policy],
    flavour: program.Flavour,
    assemble: Callable[[Sequence[Stage]], Assembler],
    sources: Mapping[str, str],
) -> Map | None:
    """The array of parts; None where all policies fit one program."""
    split = emit.parts(emit.stages(policies, described.policies))
    if len(split) == 1:
        return None
    array = maps.create(MapType.PROG_ARRAY, 4, 4, len(split), live.PARTS)
    for number, found in enumerate(split):
        with _load(assemble(found), flavour, f"xdpctl_part{number}", sources) as part:
            array.update(INDEX.pack(number), INDEX.pack(part.fd))
    return array


def load_gate(opened: PipelineMaps, nonce: int, *, native: bool) -> Loaded:
    """The program at every device."""
    asm = backstop.assemble_gate(opened.programs.fd, nonce, native=native)
    return Loaded(_load(asm, program.Flavour.TC, "xdpctl_gate", {}))


def _load(
    asm: Assembler, flavour: program.Flavour, name: str, sources: Mapping[str, str]
) -> program.Program:
    """Load with the source lines that the assembler noted."""
    return program.load(asm.assemble(), flavour, name, btf.describe(name, asm.lines, sources))
