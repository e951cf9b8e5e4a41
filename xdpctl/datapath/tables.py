"""From a blueprint and what is loaded to the exact contents of the maps. Pure data.

Two ways lead there. *In place*: the maps stay, programs are replaced first and the slots that
differ are written after, so untouched devices are not touched. *Rebuilt*: new maps are filled and
come into force with the program that names them, in one instant; needed where a table is full, a
policy outgrew its counter blocks, or a policy that live slots name goes away.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xdpctl.datapath import blocks, hashing, switch_maps
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import Description, Levels, PortStage
from xdpctl.datapath.entries import entries_of, take_block, uplinks_of
from xdpctl.datapath.layout import NONCE_BITS, Slot
from xdpctl.datapath.loaded import Entry, LivePipeline
from xdpctl.datapath.named import sets_of
from xdpctl.datapath.numbers import (
    MOST_TARGETS,
    Full,
    devices_found,
    numbered,
    sets_numbered,
    sockets_kept,
)
from xdpctl.datapath.places import Seated, hub_numbers, moved, places, slots
from xdpctl.datapath.policy_layout import PolicyLayout, layout
from xdpctl.datapath.seats import policies_at
from xdpctl.datapath.switch_maps import Uplink
from xdpctl.host.state import Host
from xdpctl.topology.model import Set


@dataclass(frozen=True)
class Tables:
    """What the maps of a pipeline must hold.

    rebuilt        they must be new maps
    displacements  by bucket
    slots          by position; the one behind the hash table is a passthru device's
    fresh          counter blocks (start, counters) to be zeroed before they are used
    sets           by name
    uplinks        the devices that frames are redirected into, by ifindex
    room           how many of them the maps are to hold; 0: there are no such maps
    """

    description: Description
    rebuilt: bool
    displacements: Mapping[int, int]
    slots: Mapping[int, Slot]
    entries: Mapping[int, Entry]
    fresh: tuple[tuple[int, int], ...] = ()
    sets: Mapping[str, Set] = field(default_factory=dict)
    uplinks: Mapping[int, Uplink] = field(default_factory=dict)
    room: int = 0


def tables(topology: str, wanted: Pipeline, before: LivePipeline | None, host: Host) -> Tables:
    """The maps' contents; `host` is as it is when the maps are written (all devices made)."""
    root = host.by_name[wanted.root].ifindex
    seats = [Seated.of(seat, host, root) for seat in wanted.seats]
    if before is not None:
        try:
            return _in_place(wanted, before, host, seats)
        except Full:
            pass  # the other way has room for anything
    return _rebuilt(topology, wanted, before, host, seats)


def _rebuilt(
    topology: str,
    wanted: Pipeline,
    before: LivePipeline | None,
    host: Host,
    seats: list[Seated],
) -> Tables:
    loaded = before.description.policies if before is not None else {}
    layouts = {
        name: layout(policy, index, loaded.get(name))
        for index, (name, policy) in enumerate(sorted(wanted.policies.items()), start=1)
    }
    root = layouts.get(wanted.policy or "")
    used = [name for each in seats for name in (each.seat.policy, each.seat.egress)]
    rooms = [layouts[name].room for name in used if name]
    capacity = blocks.capacity_for([blocks.root_room(root), *rooms])
    space = blocks.Blocks(capacity)
    root_block = space.take(blocks.root_room(root)) or 0
    entries = entries_of(seats, layouts, {}, space)
    uplinks = uplinks_of(seats, layouts, {}, space)
    found = places(wanted, host, seats, hub_numbers(seats, {}))
    table = hashing.build(sorted(found))
    description = Description(
        topology=topology,
        root=wanted.root,
        mode=wanted.mode,
        root_policy=wanted.policy,
        root_block=root_block,
        nonce=before.description.nonce if before is not None else _nonce(),
        unknown=wanted.unknown,
        catch_all=any(seat.catch_all for seat in wanted.seats),
        shape=table.shape,
        counters=capacity,
        policies=layouts,
        sets=sets_numbered(wanted, {}),
        devices=devices_found(wanted, host),
        targets=numbered(wanted.targets, sockets_kept(before), MOST_TARGETS),
        deep=wanted.deep,
        ports=_ports(wanted, layouts, seats, entries),
        levels=_levels(wanted),
        root_ifindex=host.by_name[wanted.root].ifindex,
    )
    filled = slots(table, found, seats, entries if is_policed_by_slot(wanted) else {})
    return Tables(
        description=description,
        rebuilt=True,
        displacements=table.displacements,
        slots=filled,
        entries=entries,
        sets=sets_of(wanted.policies.values()),
        uplinks=uplinks,
        room=switch_maps.capacity_for(len(uplinks)) if uplinks else 0,
    )


def _in_place(wanted: Pipeline, before: LivePipeline, host: Host, seats: list[Seated]) -> Tables:
    described = before.description
    switch = before.switch
    room = switch.capacity if switch is not None else 0
    if described.deep != wanted.deep or bool(room) != bool(wanted.delivered):
        raise Full
    if len(wanted.delivered) > room:
        raise Full
    catch_all = any(seat.catch_all for seat in wanted.seats)
    layouts = _revised(wanted, before, {each.ifindex for each in seats})
    loaded = [(entry.policy, entry.block) for entry in before.entries.values()]
    live_uplinks = switch.uplinks if switch is not None else {}
    loaded += [(one.policy, one.block) for one in live_uplinks.values()]
    space = blocks.Blocks(described.counters, blocks.used(described, loaded))
    root_block = described.root_block
    root = host.by_name[wanted.root]
    if (wanted.policy, root.ifindex) != (described.root_policy, before.ifindex):
        root_block = take_block(space, blocks.root_room(layouts.get(wanted.policy or "")))
    kept = {index: entry for index, entry in before.entries.items() if index in before.known}
    entries = entries_of(seats, layouts, kept, space)
    pinned = switch.pinned if switch is not None else {}
    known = {index: one for index, one in live_uplinks.items() if index in pinned}
    uplinks = uplinks_of(seats, layouts, known, space)
    found = places(wanted, host, seats, hub_numbers(seats, before.hubs))
    shifts = {b: shift for b, shift in enumerate(before.displacements) if shift}
    table = moved(described.shape, shifts, before.by_key, found)
    if table is None:
        raise Full
    description = Description(
        topology=described.topology,
        root=wanted.root,
        mode=wanted.mode,
        root_policy=wanted.policy,
        root_block=root_block,
        nonce=described.nonce,
        unknown=wanted.unknown,
        catch_all=catch_all,
        shape=described.shape,
        counters=described.counters,
        policies=layouts,
        sets=sets_numbered(wanted, described.sets),
        devices=devices_found(wanted, host),
        targets=numbered(wanted.targets, described.targets, MOST_TARGETS),
        deep=wanted.deep,
        ports=_ports(wanted, layouts, seats, entries),
        levels=_levels(wanted),
        root_ifindex=host.by_name[wanted.root].ifindex,
    )
    filled = slots(table, found, seats, entries if is_policed_by_slot(wanted) else {})
    return Tables(
        description=description,
        rebuilt=False,
        displacements=table.displacements,
        slots=filled,
        entries=entries,
        fresh=tuple(space.fresh),
        sets=sets_of(wanted.policies.values()),
        uplinks=uplinks,
        room=room,
    )


def _nonce() -> int:
    """Random, with the highest bit set (layout.is_signed)."""
    return secrets.randbits(NONCE_BITS) | 1 << (NONCE_BITS - 1)


def _ports(
    wanted: Pipeline,
    layouts: Mapping[str, PolicyLayout],
    seats: Iterable[Seated],
    entries: Mapping[int, Entry],
) -> dict[str, PortStage]:
    """The ports that the pipeline has a stage for."""
    names = {layout.index: name for name, layout in layouts.items()}
    return {
        each.seat.device: PortStage(each.ifindex, names[entry.policy], entry.block)
        for each in seats
        if each.seat.is_port and wanted.mode == "native"
        if (entry := entries.get(each.ifindex)) is not None
    }


def _levels(wanted: Pipeline) -> Levels:
    """Which policies the pipeline runs above the root; none in generic mode."""
    if wanted.mode != "native":
        return Levels()
    at = policies_at(wanted.seats)
    depth = max((seat.level for seat in wanted.seats if seat.tag is not None), default=0)
    return Levels(
        tags=tuple(tuple(sorted(at.get(f"tags{level}", ()))) for level in range(depth)),
        bridges=tuple(sorted(at.get("bridges", ()))),
        devices=tuple(sorted(at.get("devices", ()))),
    )


def _revised(wanted: Pipeline, before: LivePipeline, staying: set[int]) -> dict[str, PolicyLayout]:
    """Layouts that keep their index and counters; raises Full where one can't, or where a device
    that stays still runs a policy that goes.
    """
    loaded = before.description.policies
    going = {loaded[name].index for name in loaded.keys() - wanted.policies.keys()}
    if any(e.policy in going and e.ifindex in staying for e in before.entries.values()):
        raise Full
    uplinks = before.switch.uplinks if before.switch is not None else {}
    if any(one.policy in going and index in staying for index, one in uplinks.items()):
        raise Full
    taken = {policy.index for policy in loaded.values()}
    layouts: dict[str, PolicyLayout] = {}
    for name, policy in wanted.policies.items():
        if name in loaded:
            revised = loaded[name].revised(policy)
            if revised is None:
                raise Full
            layouts[name] = revised
        else:
            index = next(number for number in range(1, len(taken) + 2) if number not in taken)
            taken.add(index)
            layouts[name] = layout(policy, index)
    return layouts


def is_policed_by_slot(wanted: Pipeline) -> bool:
    """Whether slots name policies: a generic root's pipeline runs none, but what comes from devices
    that frames are redirected into finds its sibling's there.
    """
    return wanted.mode == "native" or bool(wanted.delivered)
