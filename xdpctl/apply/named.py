"""What policies name, kept true in the kernel: sets, devices to redirect to, sockets' maps."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from xdpctl.apply.undo import Undo
from xdpctl.bpf import maps, pins
from xdpctl.datapath import set_maps
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import INDEX
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.named import DEVICE, SOCKETS
from xdpctl.datapath.pin_names import socket_pin
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.datapath.tables import Tables
from xdpctl.errors import KernelError
from xdpctl.topology.model import Policy

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
    opened: PipelineMaps, wanted: Description, old: Mapping[int, int], undo: Undo
) -> None:
    """Let the numbers of targets lead to the devices; `old` are the ifindexes that they lead to."""
    for number, ifindex in _numbered(wanted):
        if old.get(number) == ifindex:
            continue
        key = INDEX.pack(number)
        if number in old:
            undo.add(partial(_lead_back, opened.devmap, key, old[number]))
        else:
            undo.add(partial(opened.devmap.delete, key))
        opened.devmap.update(key, INDEX.pack(ifindex))


def _lead_back(devmap: maps.Map, key: bytes, ifindex: int) -> None:
    """A device that comes back yet is the rollback's to mend."""
    try:
        devmap.update(key, INDEX.pack(ifindex))
    except KernelError as error:
        if error.errno != errno.EINVAL:  # what the kernel says of an ifindex that there is not
            raise


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
            pins.remove(path)
            undo.add(partial(_pin_again, each, path))


def _pin_again(each: maps.Map, path: Path) -> None:
    pins.pin(each.fd, path)


def pins_to_come(policies: Iterable[Policy]) -> list[Path]:
    """Where users' objects have maps pinned that are not there yet."""
    objects = [policy.object for policy in policies if policy.object is not None]
    paths = [Path(path) for found in objects for _, path in found.maps]
    return [path for path in paths if not path.exists()]


def carry_limits(old: PipelineMaps, new: PipelineMaps, carried: dict[int, int]) -> None:
    """Buckets stay as full as they were: a rebuild gives nobody a burst."""
    width = old.limits.width
    values = old.limits.read_array()
    found = {to: values[source * width : (source + 1) * width] for source, to in carried.items()}
    filled = {to: value for to, value in found.items() if any(value)}
    keys = b"".join(INDEX.pack(to) for to in filled)
    new.limits.update_batch(keys, b"".join(filled.values()))
