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

from xdpctl.datapath import blocks, hashing
from xdpctl.datapath.blueprint import DISPATCHED, Pipeline, Seat
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import FLOOD, NONCE_BITS, Slot, mac_number
from xdpctl.datapath.live import Entry, LivePipeline
from xdpctl.datapath.named import sets_of
from xdpctl.datapath.numbers import (
    MOST_TARGETS,
    Full,
    devices_found,
    numbered,
    sets_numbered,
    sockets_kept,
)
from xdpctl.datapath.policy_layout import PolicyLayout, layout
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
    """

    description: Description
    rebuilt: bool
    displacements: Mapping[int, int]
    slots: Mapping[int, Slot]
    entries: Mapping[int, Entry]
    fresh: tuple[tuple[int, int], ...] = ()
    sets: Mapping[str, Set] = field(default_factory=dict)


def tables(topology: str, wanted: Pipeline, before: LivePipeline | None, host: Host) -> Tables:
    """The maps' contents; `host` is as it is when the maps are written (all devices made)."""
    seats = [_Seated.of(seat, host) for seat in wanted.seats]
    if before is not None:
        try:
            return _in_place(wanted, before, host, seats)
        except Full:
            pass  # the other way has room for anything
    return _rebuilt(topology, wanted, before, host, seats)


@dataclass(frozen=True, slots=True)
class _Seated:
    """A seat whose device exists.

    out  what a frame is sent back by: the device that a macvlan stands on, as what it sends itself
         to its own address, or to a group, comes in by it or a sibling again, without an end
    """

    seat: Seat
    ifindex: int
    address: int
    out: int

    @classmethod
    def of(cls, seat: Seat, host: Host) -> _Seated:
        link = host.by_name[seat.device]
        known = seat.address is not None
        address = seat.address if known else mac_number(str(link.properties["address"]))
        lower = link.lower if link.kind in DISPATCHED and not link.lower_elsewhere else None
        return cls(seat, link.ifindex, address or 0, lower or link.ifindex)


def _rebuilt(
    topology: str,
    wanted: Pipeline,
    before: LivePipeline | None,
    host: Host,
    seats: list[_Seated],
) -> Tables:
    loaded = before.description.policies if before is not None else {}
    layouts = {
        name: layout(policy, index, loaded.get(name))
        for index, (name, policy) in enumerate(sorted(wanted.policies.items()), start=1)
    }
    root = layouts.get(wanted.policy or "")
    rooms = [layouts[each.seat.policy].room for each in seats if each.seat.policy]
    capacity = blocks.capacity_for([blocks.root_room(root), *rooms])
    space = blocks.Blocks(capacity)
    root_block = space.take(blocks.root_room(root)) or 0
    entries = _entries(seats, layouts, {}, space)
    addresses = _addresses(wanted, host, seats)
    table = hashing.build(sorted(addresses))
    description = Description(
        topology=topology,
        root=wanted.root,
        mode=wanted.mode,
        root_policy=wanted.policy,
        root_block=root_block,
        nonce=before.description.nonce if before is not None else secrets.randbits(NONCE_BITS),
        unknown=wanted.unknown,
        catch_all=any(seat.catch_all for seat in wanted.seats),
        shape=table.shape,
        counters=capacity,
        policies=layouts,
        sets=sets_numbered(wanted, {}),
        devices=devices_found(wanted, host),
        targets=numbered(wanted.targets, sockets_kept(before), MOST_TARGETS),
    )
    slots = _slots(table, addresses, seats, entries if wanted.mode == "native" else {})
    return Tables(
        description=description,
        rebuilt=True,
        displacements=table.displacements,
        slots=slots,
        entries=entries,
        sets=sets_of(wanted.policies.values()),
    )


def _in_place(wanted: Pipeline, before: LivePipeline, host: Host, seats: list[_Seated]) -> Tables:
    described = before.description
    catch_all = any(seat.catch_all for seat in wanted.seats)
    layouts = _revised(wanted, before, {each.ifindex for each in seats})
    loaded = [(entry.policy, entry.block) for entry in before.entries.values()]
    space = blocks.Blocks(described.counters, blocks.used(described, loaded))
    root_block = described.root_block
    root = host.by_name[wanted.root]
    if (wanted.policy, root.ifindex) != (described.root_policy, before.ifindex):
        root_block = _taken(space, blocks.root_room(layouts.get(wanted.policy or "")))
    kept = {index: entry for index, entry in before.entries.items() if index in before.known}
    entries = _entries(seats, layouts, kept, space)
    addresses = _addresses(wanted, host, seats)
    table = _moved(before, addresses)
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
    )
    slots = _slots(table, addresses, seats, entries if wanted.mode == "native" else {})
    return Tables(
        description=description,
        rebuilt=False,
        displacements=table.displacements,
        slots=slots,
        entries=entries,
        fresh=tuple(space.fresh),
        sets=sets_of(wanted.policies.values()),
    )


def _revised(wanted: Pipeline, before: LivePipeline, staying: set[int]) -> dict[str, PolicyLayout]:
    """Layouts that keep their index and counters; raises Full where one can't, or where a device
    that stays still runs a policy that goes.
    """
    loaded = before.description.policies
    going = {loaded[name].index for name in loaded.keys() - wanted.policies.keys()}
    if any(e.policy in going and e.ifindex in staying for e in before.entries.values()):
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


def _taken(space: blocks.Blocks, size: int) -> int:
    block = space.take(size)
    if block is None:
        raise Full
    return block


def _entries(
    seats: Iterable[_Seated],
    layouts: Mapping[str, PolicyLayout],
    loaded: Mapping[int, Entry],
    space: blocks.Blocks,
) -> dict[int, Entry]:
    """An entry for every device with a policy; a device keeps its block while it keeps that.

    `loaded` are the entries of devices that our gate still hangs at: another one may have the
    ifindex of a device that is gone, and begins to count from nothing.
    """
    entries: dict[int, Entry] = {}
    for each in seats:
        if each.seat.policy is None:
            continue
        policy = layouts[each.seat.policy]
        old = loaded.get(each.ifindex)
        kept = old is not None and old.policy == policy.index
        block = old.block if kept and old is not None else _taken(space, policy.room)
        flood = FLOOD[each.seat.flood]
        entries[each.ifindex] = Entry(each.ifindex, policy.index, flood, block, each.out)
    return entries


def _addresses(wanted: Pipeline, host: Host, seats: Iterable[_Seated]) -> dict[int, int]:
    """Which addresses the dispatcher must know, and the ifindexes of the devices that it polices.

    A device without a policy, one that its backstop alone polices, and the root itself need a
    slot only to be told from unknown ones: ifindex 0. So has an address that several devices of
    the stack have (in different VLANs): which of them is meant is seen at the device.
    """
    addresses: dict[int, int] = {}
    for each in seats:
        seat = each.seat
        if seat.catch_all:
            continue
        policed = seat.policy is not None and seat.dispatched
        if policed or wanted.unknown == "drop":
            shared = each.address in addresses
            addresses[each.address] = each.ifindex if policed and not shared else 0
    if not any(seat.catch_all for seat in wanted.seats):
        own = wanted.address
        if own is None:
            own = mac_number(str(host.by_name[wanted.root].properties["address"]))
        addresses.setdefault(own, 0)
    return addresses


def _moved(before: LivePipeline, addresses: Mapping[int, int]) -> hashing.Table:
    """The loaded hash table less the addresses that go, plus those that come."""
    shape = before.description.shape
    shifts = {b: shift for b, shift in enumerate(before.displacements) if shift}
    table = hashing.Table(shape, shifts)
    for address, slot in before.by_address.items():
        table.slots[slot.position] = address
        table.members.setdefault(shape.bucket(address), set()).add(address)
    for address in before.by_address.keys() - addresses.keys():
        table.drop(address)
    for address in sorted(addresses.keys() - before.by_address.keys()):
        if table.place(address) is None:
            raise Full
    return table


def _slots(
    table: hashing.Table,
    addresses: Mapping[int, int],
    seats: Iterable[_Seated],
    entries: Mapping[int, Entry],
) -> dict[int, Slot]:
    """What stands at each position."""
    slots: dict[int, Slot] = {}
    for address, ifindex in addresses.items():
        slots[table.slot(address)] = _slot(table.slot(address), address, ifindex, entries)
    for each in seats:
        if each.seat.catch_all:
            position = table.shape.slots
            slots[position] = _slot(position, each.address, each.ifindex, entries)
    return slots


def _slot(position: int, address: int, ifindex: int, entries: Mapping[int, Entry]) -> Slot:
    entry = entries.get(ifindex)
    if entry is None:
        return Slot(position, address, 0, 0, ifindex)
    return Slot(position, address, entry.policy, entry.block, ifindex)
