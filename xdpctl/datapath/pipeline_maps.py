"""The maps of one pipeline: made, opened, filled."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from xdpctl.bpf import maps
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath import counter_map, map_names, set_maps, slot_map, switch_maps
from xdpctl.datapath.counter_map import CounterMap
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import ENTRY, INDEX, LANES
from xdpctl.datapath.loaded import Entry
from xdpctl.datapath.named import DEVICE, SOCKETS
from xdpctl.datapath.numbers import MOST_SETS, MOST_TARGETS
from xdpctl.datapath.policy_layout import SMALLEST_BLOCK
from xdpctl.datapath.switch_maps import SwitchMaps
from xdpctl.datapath.tables import Tables
from xdpctl.datapath.user_objects import UserObjects
from xdpctl.datapath.ways_out import WaysOut
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.parse import Hook
from xdpctl.topology.model import Set

PROGRAMS = 5
LIMIT_BYTES = 8
SAMPLE_BYTES = 1 << 16
QUEUES = 256
"""Receive queues that a map of AF_XDP sockets has room for."""


@dataclass(slots=True)
class PipelineMaps:
    """The open maps of one pipeline; `sets` by name, `sockets` by the target's key. And the users'
    objects, which have maps of their own.
    """

    slots: Map
    displacements: Map
    counters: Map
    entries: Map
    programs: Map
    limits: Map
    samples: Map
    states: Map
    devmap: Map
    sets: dict[str, Map] = field(default_factory=dict)
    sockets: dict[str, Map] = field(default_factory=dict)
    objects: UserObjects = field(default_factory=UserObjects)
    switch: SwitchMaps | None = None

    def close(self) -> None:
        """Give all descriptors back."""
        self.objects.close()
        for each in self.all():
            each.close()

    def all(self) -> tuple[Map, ...]:
        """Every map of the pipeline but its description."""
        return (
            self.slots, self.displacements, self.counters, self.entries, self.programs,
            self.limits, self.samples, self.states, self.devmap,
            *self.sets.values(), *self.sockets.values(),
            *(self.switch.all() if self.switch is not None else ()),
        )  # fmt: skip

    def bindings(self, described: Description, hook: Hook) -> Bindings:
        """What the policies' instructions refer to."""
        return Bindings(
            hook=hook,
            sets={name: self.sets[name].fd for name in described.sets},
            limits=self.limits.fd,
            samples=self.samples.fd,
            devices=described.devices,
            targets=described.targets,
        )

    def counted(self, described: Description) -> CounterMap:
        """Where frames are counted."""
        return CounterMap.of(self.counters, described.counters)

    def ways(self, described: Description) -> WaysOut:
        """Where the targets of redirects lead to."""
        devices, sockets = {}, {}
        for key, number in described.targets.items():
            if key in self.sockets:
                sockets[number] = self.sockets[key].fd
            else:
                devices[number] = described.devices[key.removeprefix(DEVICE)]
        return WaysOut(devices, sockets, self.devmap.fd)


def open_maps(ids: Mapping[str, int], described: Description) -> PipelineMaps:
    """Open the maps of a loaded pipeline."""
    targets = described.targets
    return PipelineMaps(
        slots=maps.open_id(ids[map_names.SLOTS]),
        displacements=maps.open_id(ids[map_names.DISPLACEMENTS]),
        counters=maps.open_id(ids[map_names.COUNTERS]),
        entries=maps.open_id(ids[map_names.ENTRIES]),
        programs=maps.open_id(ids[map_names.PROGRAMS]),
        limits=maps.open_id(ids[map_names.LIMITS]),
        samples=maps.open_id(ids[map_names.SAMPLES]),
        states=maps.open_id(ids[map_names.SETS]),
        devmap=maps.open_id(ids[map_names.DEVMAP]),
        sets={
            name: maps.open_id(ids[map_names.set_map(one.index)])
            for name, one in described.sets.items()
        },
        sockets={
            key: maps.open_id(ids[map_names.socket_map(number)])
            for key, number in targets.items()
            if key.startswith(SOCKETS)
        },
        switch=switch_maps.open_maps(ids),
    )


def create_maps(tables: Tables, kept: PipelineMaps | None = None) -> PipelineMaps:
    """New maps with the tables' contents.

    Of those there are, the program array is `kept`, and the sockets that programs have opened.
    """
    shape, total = tables.description.shape, tables.description.counters
    entries = max(1, total // SMALLEST_BLOCK)  # full no sooner than the counters are
    free = maps.BPF_F_NO_PREALLOC
    made = PipelineMaps(
        slots=slot_map.create_slots(shape, map_names.SLOTS, deep=tables.description.deep),
        displacements=slot_map.create_displacements(shape, map_names.DISPLACEMENTS),
        counters=counter_map.create(total, map_names.COUNTERS),
        entries=maps.create(MapType.HASH, 4, ENTRY.size, entries, map_names.ENTRIES, flags=free),
        programs=kept.programs
        if kept is not None
        else maps.create(MapType.PROG_ARRAY, 4, 4, PROGRAMS, map_names.PROGRAMS),
        limits=maps.create(
            MapType.ARRAY, 4, LIMIT_BYTES, total, map_names.LIMITS, flags=maps.BPF_F_MMAPABLE
        ),
        samples=maps.create(MapType.RINGBUF, 0, 0, SAMPLE_BYTES, map_names.SAMPLES),
        states=maps.create(MapType.ARRAY, 4, set_maps.STATE.size, MOST_SETS, map_names.SETS),
        devmap=maps.create(MapType.DEVMAP, 4, 4, MOST_TARGETS, map_names.DEVMAP),
        sockets=dict(kept.sockets) if kept is not None else {},
        switch=switch_maps.create(tables.room) if tables.room else None,
    )
    slot_map.write_slots(made.slots, tables.slots, deep=tables.description.deep)
    slot_map.write_displacements(made.displacements, tables.displacements)
    write_entries(made.entries, tables.entries)
    if made.switch is not None:
        made.switch.write_uplinks(tables.uplinks)
    add_named(made, tables.description, tables.sets)
    return made


def add_named(made: PipelineMaps, described: Description, sets: Mapping[str, Set]) -> None:
    """Make the maps that policies name and that are not there yet: of sets and of sockets."""
    for name, one in described.sets.items():
        if name not in made.sets:
            with set_maps.create_entries(sets[name]) as entries:
                made.sets[name] = set_maps.create_array(entries, map_names.set_map(one.index))
            state = set_maps.contents(sets[name])
            made.states.update(INDEX.pack(one.index), state.pack())
    for key, number in described.targets.items():
        if key.startswith(SOCKETS) and key not in made.sockets:
            name = map_names.socket_map(number)
            made.sockets[key] = maps.create(MapType.XSKMAP, 4, 4, QUEUES, name)


def write_entries(target: Map, entries: Mapping[int, Entry]) -> None:
    """Write these devices' entries in one call."""
    keys = struct.pack(f"={len(entries)}I", *entries)
    values = [
        ENTRY.pack(each.policy, each.flood, each.block, each.out) for each in entries.values()
    ]
    target.update_batch(keys, b"".join(values))


def zero_counters(opened: PipelineMaps, fresh: tuple[tuple[int, int], ...]) -> None:
    """Start these blocks from nothing: they may have been a deleted device's."""
    counter_map.zero(opened.counters, fresh)
    limits = opened.limits.words()
    for start, size in fresh:
        full = memoryview(bytes(size * LIMIT_BYTES)).cast("Q")
        limits[start : start + size * LANES : LANES] = full
