"""What policies name, kept true in the kernel: sets, devices to redirect to, sockets' maps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from xdpctl.apply.undo import Undo
from xdpctl.bpf import maps, pins
from xdpctl.datapath import set_maps
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import INDEX
from xdpctl.datapath.live import LivePipeline, socket_pin
from xdpctl.datapath.named import DEVICE, SOCKETS
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.datapath.tables import Tables

IN_PLACE = 1
"""Entries that a set's map is changed by where it is. More of them come into force all at once, in
a new map."""


def retain(opened: PipelineMaps, wanted: Description, loaded: Description) -> None:
    """Close what the wanted pipeline does not name any more."""
    for name in [name for name in opened.sets if wanted.sets.get(name) != loaded.sets[name]]:
        opened.sets.pop(name).close()
    for key in [key for key in opened.sockets if key not in wanted.targets]:
        opened.sockets.pop(key).close()


def fill_sets(opened: PipelineMaps, wanted: Tables, before: LivePipeline, undo: Undo) -> None:
    """Make the sets that are loaded hold what they should; those that hold it are not written."""
    for name, one in wanted.description.sets.items():
        if before.description.sets.get(name) != one:
            continue
        state, found = set_maps.contents(wanted.sets[name]), wanted.sets[name]
        if before.sets.get(name) == state:
            continue
        key, old = INDEX.pack(one.index), before.sets.get(name)
        before_state = old.pack() if old is not None else bytes(set_maps.STATE.size)
        undo.add(partial(opened.states.update, key, before_state))
        opened.states.update(key, bytes(set_maps.STATE.size))  # not known while it changes
        array = opened.sets[name]
        live = set_maps.entries_of(array)
        difference = set_maps.difference(live, found, IN_PLACE)
        if difference is not None:
            added, gone = difference
            undo.add(partial(set_maps.change, live, gone, added))
            set_maps.change(live, added, gone)
        else:
            undo.add(partial(set_maps.put, array, live))
            with set_maps.create_entries(found) as entries:
                set_maps.put(array, entries)
        opened.states.update(key, state.pack())


def point_devices(
    opened: PipelineMaps, wanted: Description, loaded: Description | None, undo: Undo
) -> None:
    """Let the numbers of targets lead to the devices."""
    old = dict(_numbered(loaded)) if loaded is not None else {}
    for number, ifindex in _numbered(wanted):
        if old.get(number) == ifindex:
            continue
        key = INDEX.pack(number)
        if number in old:
            undo.add(partial(opened.devmap.update, key, INDEX.pack(old[number])))
        else:
            undo.add(partial(opened.devmap.delete, key))
        opened.devmap.update(key, INDEX.pack(ifindex))


def _numbered(described: Description) -> Iterator[tuple[int, int]]:
    """Number and ifindex of the devices that frames are redirected to."""
    for key, number in described.targets.items():
        if key.startswith(DEVICE):
            yield number, described.devices[key.removeprefix(DEVICE)]


def pin_sockets(opened: PipelineMaps, directory: Path, entry: str, undo: Undo) -> None:
    """Pin the maps of sockets, where programs find them to put theirs in."""
    for key, each in opened.sockets.items():
        path = directory / socket_pin(key, entry)
        if not path.exists():
            undo.add(partial(pins.remove, path))
            pins.pin(each.fd, path)


def unpin_sockets(
    before: LivePipeline, wanted: Description | None, directory: Path, undo: Undo
) -> None:
    """Take away the pins of those that are not wanted any more."""
    kept = wanted.targets if wanted is not None else {}
    for key in before.description.targets:
        path = directory / socket_pin(key, before.entry)
        if key.startswith(SOCKETS) and key not in kept and path.exists():
            each = maps.Map(pins.open_pin(path))
            undo.add(partial(_pin_again, each, path))
            pins.remove(path)


def _pin_again(each: maps.Map, path: Path) -> None:
    pins.pin(each.fd, path)


def carry_limits(old: PipelineMaps, new: PipelineMaps, carried: dict[int, int]) -> None:
    """Buckets stay as full as they were: a rebuild gives nobody a burst."""
    width = old.limits.width
    values = old.limits.read_array()
    found = {to: values[source * width : (source + 1) * width] for source, to in carried.items()}
    filled = {to: value for to, value in found.items() if any(value)}
    keys = b"".join(INDEX.pack(to) for to in filled)
    new.limits.update_batch(keys, b"".join(filled.values()))
