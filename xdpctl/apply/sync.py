"""One root's way from the pipeline that is loaded to the one that is wanted: load, fill, swap."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from xdpctl.apply import adoption, named, roots, written
from xdpctl.apply.attachment import Attachment
from xdpctl.apply.away_gates import any_away
from xdpctl.apply.root_gates import RootGates
from xdpctl.apply.switch import Switch
from xdpctl.apply.undo import Undo
from xdpctl.bpf import libc, maps, pins, program
from xdpctl.bpf.maps import Map
from xdpctl.bpf.program import Program
from xdpctl.datapath import counter_map, load
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.counters import amounts, moved
from xdpctl.datapath.description import Description
from xdpctl.datapath.hooks import read_hooks
from xdpctl.datapath.layout import INDEX, POLICE, Counters
from xdpctl.datapath.load import Loaded
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.pin_names import PARTS_PIN, PROGRAMS_PIN
from xdpctl.datapath.pipeline_maps import (
    PipelineMaps,
    add_named,
    create_maps,
    open_maps,
    zero_counters,
)
from xdpctl.datapath.tables import Tables, tables
from xdpctl.host.state import Host
from xdpctl.plan.pipeline_operations import SyncPipeline


def _carry_back(
    old: Map, new: Map, carried: Mapping[int, int], copied: Mapping[int, Counters]
) -> None:
    """The old pipeline is in force again: what the new one counted meanwhile is counted there.

    `carried` are counters of the new map by those of the old, `copied` what was carried there.
    """
    libc.wait_for_readers()
    back = {to: source for source, to in carried.items()}
    counted = amounts(new, back)
    counter_map.add(old, {source: counted[source] - copied[to] for to, source in back.items()})


def followed(
    before: LivePipeline | None, moving: Collection[str], host: Host
) -> LivePipeline | None:
    """What is loaded, with the entries of devices that moved to another namespace under the numbers
    that they have there: they go on counting where they did.
    """
    if before is None or not moving:
        return before
    numbers = {
        host.by_name[name].ifindex: before.backstops[name]
        for name in moving
        if before.backstops.get(name) in before.entries
    }
    moved_there = {
        number: replace(before.entries[old], ifindex=number) for number, old in numbers.items()
    }
    known = before.known.union(moved_there)
    return replace(before, entries={**before.entries, **moved_there}, known=known)


class Sync:
    """One root's way from what is loaded to what is wanted."""

    def __init__(
        self, topology: str, host: Host, operation: SyncPipeline, undo: Undo, kept: ExitStack
    ) -> None:
        self.topology = topology
        self.host = host
        self.operation = operation
        self.undo = undo
        self.kept = kept
        self.directory = pins.directory(host.netns, topology)
        before = operation.before
        self.entry = before.entry if before is not None else self._free_entry(operation.root)
        self.programs_pin = self.directory / (PROGRAMS_PIN + self.entry)
        self.switch = Switch(
            host,
            self.directory,
            self.entry,
            undo,
            kept,
            before,
            operation.foreign,
            operation.handed,
        )

    def _free_entry(self, root: str) -> str:
        """The root's name; not if a root that had it and was renamed still stands under it."""
        entry = pins.file_name(root)
        taken = (self.directory / (PROGRAMS_PIN + entry)).exists()
        return f"{entry}%{self.host.by_name[root].ifindex}" if taken else entry

    def run(self) -> None:
        """Attach, change or take away."""
        before, after = self.operation.before, self.operation.after
        if after is not None:
            seen = followed(before, self.operation.moving, self.host)
            wanted = tables(self.topology, after, seen, self.host)
            if before is None or wanted.rebuilt:
                self._rebuild(wanted, after, before)
            else:
                self._change(wanted, after, before)
        elif before is not None:
            self._remove(before)

    # --- new maps

    def _rebuild(self, wanted: Tables, after: Pipeline, before: LivePipeline | None) -> None:
        """Fill new maps, then put them in force with the programs that name them."""
        old = self._open(before) if before is not None else None
        made = create_maps(wanted, old)
        self.kept.callback(made.close)
        seen = followed(before, self.operation.moving, self.host)
        carried = moved(seen, wanted) if seen is not None else {}
        copied = amounts(old.counters, carried) if old is not None else {}
        counter_map.add(made.counters, copied)
        named.point_devices(made, wanted.description, {}, self.undo)
        named.pin_sockets(made, self.directory, self.entry, self.undo)
        if old is not None:
            named.carry_limits(old, made, carried)
            self.undo.add(partial(_carry_back, old.counters, made.counters, carried, copied))
        gates = self._gates(made, wanted.description)
        self._programs(wanted, after, made, before, gates)
        self.switch.open_up(wanted, after, made, fresh=True)
        gates.away.police(after, before, self._loaded, renewed=True)
        gates.sync(after, before)
        self._root(wanted, after, made, before)
        gates.away.retire(wanted)
        self.switch.close_down(wanted, after, made, fresh=True)
        if old is not None:
            libc.wait_for_readers()
            late = amounts(old.counters, carried)
            counter_map.add(made.counters, {to: late[to] - copied[to] for to in late})
            copied.update(late)
        self._drop(before, wanted.description)

    # --- the same maps

    def _change(self, wanted: Tables, after: Pipeline, before: LivePipeline) -> None:
        """Programs first: they know every policy that the slots name before and after."""
        opened = self._open(before)
        zero_counters(opened, wanted.fresh)
        named.retain(opened, wanted.description, before.description)
        add_named(opened, wanted.description, wanted.sets)
        named.fill_sets(opened, wanted, before, self.undo)
        named.point_devices(opened, wanted.description, before.reached, self.undo)
        named.pin_sockets(opened, self.directory, self.entry, self.undo)
        renewed = (
            wanted.description != before.description
            or not self._same_links(after, before)
            or before.untidy
            or (any_away(before.entries) and not any_away(wanted.entries))
            or self.switch.is_broken
        )
        gates = self._gates(opened, wanted.description)
        if renewed:
            self._programs(wanted, after, opened, before, gates)
            self._root(wanted, after, opened, before)
        self.switch.open_up(wanted, after, opened, fresh=False)
        gates.away.police(after, before, self._loaded, renewed=renewed)
        written.enter(wanted, opened, before, self.undo)
        written.place(wanted, opened, before, self.undo)
        gates.sync(after, before)
        self.switch.close_down(wanted, after, opened, fresh=False)
        written.leave(wanted, opened, before, self.undo)
        gates.away.retire(wanted)
        if renewed:
            self._drop(before, wanted.description)

    # --- programs and attachments

    def _programs(
        self,
        wanted: Tables,
        after: Pipeline,
        opened: PipelineMaps,
        before: LivePipeline | None,
        gates: RootGates,
    ) -> None:
        """The police behind the gates; the gate itself only once."""
        for path in named.pins_to_come(after.policies.values()):
            self.undo.add(partial(pins.remove, path))
        opened.objects.open(after.policies, before.description.objects if before else {})
        self.uplink = self.switch.load(wanted.description, after, opened, self._loaded)
        police = self._loaded(
            load.load_police(wanted.description, after.policies, opened, after.sources)
        )
        key = INDEX.pack(POLICE)
        if before is None:
            opened.programs.update(key, INDEX.pack(police.fd))
            gates.load(self._loaded)
            pins.remove(self.programs_pin)
            pins.pin(opened.programs.fd, self.programs_pin)
            self.undo.add(lambda: pins.remove(self.programs_pin))
            return
        old = gates.member(POLICE)
        opened.programs.update(key, INDEX.pack(police.fd))
        self.undo.add(lambda: opened.programs.update(key, INDEX.pack(old.fd)))
        if (before.mode, before.description.deep) != (after.mode, wanted.description.deep):
            gates.renew(before, self._loaded)

    def _root(
        self, wanted: Tables, after: Pipeline, opened: PipelineMaps, before: LivePipeline | None
    ) -> None:
        """Attach, or replace in place where a link stands where it should."""
        described = replace(wanted.description, uplink=self.uplink)
        loaded = self._loaded(load.load_pipeline(described, after.policies, opened, after.sources))
        attachment = Attachment(
            self.host,
            after,
            self.directory,
            self.entry,
            self.undo,
            self._keep,
        )
        attachment.sync(loaded, before.hooks if before is not None else (), self.operation.foreign)

    def _same_links(self, after: Pipeline, before: LivePipeline) -> bool:
        """Whether all links stand where they should, in the mode that they should have."""
        wanted = {(self.host.by_name[name].ifindex, after.mode) for name in after.hooks}
        return wanted == {(hook.ifindex, hook.mode) for hook in before.hooks}

    def _loaded(self, loaded: Loaded) -> Program:
        """Keep a program until the run ends, and its parts as long as their pin stands."""
        self.kept.callback(loaded.close)
        if loaded.parts is not None:
            path = self._parts_pin(loaded.parts.info.id)
            pins.pin(loaded.parts.fd, path)
            self.undo.add(lambda: pins.remove(path))
        return loaded.program

    def _parts_pin(self, number: int) -> Path:
        return self.directory / f"{PARTS_PIN}{number}"

    def _drop(self, before: LivePipeline | None, wanted: Description | None) -> None:
        """Unpin what nothing uses any more: the parts that were loaded before, maps of sockets."""
        if before is None:
            return
        named.unpin_sockets(before, wanted, self.directory, self.undo)
        for number in before.parts:
            path = self._parts_pin(number)
            array = maps.Map(pins.open_pin(path))
            self.kept.callback(array.close)
            pins.remove(path)
            self.undo.add(partial(pins.pin, array.fd, path))

    def _gates(self, opened: PipelineMaps, described: Description) -> RootGates:
        return RootGates(self.operation, opened, described, self.host, self.undo, self.kept)

    def _remove(self, before: LivePipeline) -> None:
        """Gates first: while they stand, their devices are policed."""
        opened = self._open(before)
        self.switch.remove(opened)
        self._gates(opened, before.description).remove(before)
        for hook in before.hooks:
            path = self.directory / hook.pin
            if not path.exists():
                continue  # another pipeline of ours has it
            others = adoption.links_of_others(self.directory, self.entry, besides=path)
            if not adoption.unpin_shared(path, others, self.undo):
                old = self._keep(program.open_id(hook.program_id))
                (now,) = read_hooks([path], self.host)
                roots.detach(path, old, now.ifindex, hook.mode, self.undo)
        pins.remove(self.programs_pin)
        self.undo.add(lambda: pins.pin(opened.programs.fd, self.programs_pin))
        self._drop(before, None)
        pins.remove_empty(self.directory)

    # --- what is kept until the run has ended

    def _keep(self, loaded: Program) -> Program:
        self.kept.callback(loaded.close)
        return loaded

    def _open(self, before: LivePipeline) -> PipelineMaps:
        opened = open_maps(before.maps, before.description)
        self.kept.callback(opened.close)
        return opened
