"""The rows of a loaded pipeline's tables: those that differ are written, and how it is undone."""

from __future__ import annotations

from functools import partial

from xdpctl.apply.undo import Undo
from xdpctl.datapath.layout import INDEX
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.pipeline_maps import PipelineMaps, write_entries
from xdpctl.datapath.slot_map import write_displacements, write_slots
from xdpctl.datapath.tables import Tables


def enter(wanted: Tables, opened: PipelineMaps, before: LivePipeline, undo: Undo) -> None:
    """Devices that are new, or have another policy."""
    fresh = {i: e for i, e in wanted.entries.items() if before.entries.get(i) != e}
    replaced = {i: e for i, e in before.entries.items() if i in fresh}
    added = fresh.keys() - before.entries.keys()
    undo.add(lambda: write_entries(opened.entries, replaced))
    undo.add(lambda: [opened.entries.delete(INDEX.pack(i)) for i in added])
    write_entries(opened.entries, fresh)  # last: of many, some may be written


def leave(wanted: Tables, opened: PipelineMaps, before: LivePipeline, undo: Undo) -> None:
    """Devices that go. After their gates: a gate whose device has no entry lets nothing through."""
    gone = {i: e for i, e in before.entries.items() if i not in wanted.entries}
    undo.add(lambda: write_entries(opened.entries, gone))
    for ifindex in gone:
        opened.entries.delete(INDEX.pack(ifindex))


def place(wanted: Tables, opened: PipelineMaps, before: LivePipeline, undo: Undo) -> None:
    """New places first, then the displacements that lead there, then the places given up."""
    loaded = {slot.position: slot for slot in before.slots}
    fresh = {p: slot for p, slot in wanted.slots.items() if loaded.get(p) != slot}
    gone = loaded.keys() - wanted.slots.keys()
    shifts = wanted.displacements
    moved_shifts = {b: to for b, to in shifts.items() if before.displacements[b] != to}
    old_places = {p: loaded.get(p) for p in (*fresh, *gone)}

    write = partial(write_slots, opened.slots, deep=wanted.description.deep)

    def back() -> None:
        write({p: old for p, old in old_places.items() if old is not None})
        write_displacements(
            opened.displacements, {b: before.displacements[b] for b in moved_shifts}
        )
        write(old_places)

    undo.add(back)
    write(fresh)
    write_displacements(opened.displacements, moved_shifts)
    write(dict.fromkeys(gone))
