"""Where the dispatcher finds each device: the keys of the slots, and what stands in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdpctl.datapath import hashing
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.layout import NO_BRIDGE, Bridge, Slot, hub_key, mac_number
from xdpctl.datapath.loaded import Entry
from xdpctl.datapath.seats import DISPATCHED, Seat
from xdpctl.host.state import Host
from xdpctl.record import record


@record
class Seated:
    """A seat whose device exists.

    out  what a frame is sent back by: the device that a macvlan stands on, as what it sends itself
         to its own address, or to a group, comes in by it or a sibling again, without an end (0:
         by none, as that one is in another namespace)
    """

    seat: Seat
    ifindex: int
    address: int
    out: int

    @classmethod
    def of(cls, seat: Seat, host: Host, root: int) -> Seated:
        """Look the device up; `root` is what frames are redirected into it from."""
        link = host.by_name[seat.device]
        known = seat.address is not None
        address = seat.address if known else mac_number(str(link.properties["address"]))
        lower = link.lower if link.kind in DISPATCHED and not link.lower_elsewhere else None
        if seat.delivered:
            lower = root
        out = (lower or link.ifindex) if link.away is None else 0
        return cls(seat, link.ifindex, address or 0, out)


@record
class Place:
    """What a key leads to.

    ifindex   the device; 0: one that need only be told from unknown ones
    policed   the pipeline runs the device's policy
    hub       the number of the VLAN device that a tag leads to
    bridge    ifindex of the bridge whose policy comes before
    """

    ifindex: int = 0
    policed: bool = False
    hub: int = 0
    bridge: int = 0


KNOWN = Place()


def hub_numbers(seats: Sequence[Seated], loaded: Mapping[int, int]) -> dict[str, int]:
    """A number from 1 for each VLAN device, by name; `loaded` are those there are, by ifindex."""
    hubs = [each for each in seats if each.seat.tag is not None]
    kept = {each.ifindex: loaded[each.ifindex] for each in hubs if each.ifindex in loaded}
    taken = set(loaded.values())
    free = iter(number for number in range(1, len(taken) + len(hubs) + 1) if number not in taken)
    return {
        each.seat.device: kept[each.ifindex] if each.ifindex in kept else next(free)
        for each in hubs
    }


def places(
    wanted: Pipeline, host: Host, seats: Sequence[Seated], hubs: Mapping[str, int]
) -> dict[int, Place]:
    """What each key leads to.

    A device without a policy, one that its backstop alone polices, and the root itself need a
    slot only to be told from unknown ones. So has an address that several devices have at a hub:
    which of them is meant is seen at the device. Who redirects frames must find all others. A VLAN
    behind a generic program is one of these: a tag leads nowhere there.
    """
    switched = bool(wanted.delivered)
    found: dict[int, Place] = {}
    indexes = {each.seat.device: each.ifindex for each in seats}
    for each in seats:
        seat = each.seat
        if seat.catch_all or seat.is_port or (seat.tag is not None and not wanted.deep):
            continue
        policed = seat.policy is not None and seat.dispatched
        hub = hubs.get(seat.hub, 0) if wanted.deep else 0
        if seat.tag is not None:
            number = hubs[seat.device]
            found[hub_key(hub, seat.tag)] = Place(each.ifindex, policed, number)
            found.setdefault(hub_key(number, each.address), KNOWN)
        elif policed or wanted.unknown == "drop" or switched:
            key = hub_key(hub, each.address)
            own = Place(each.ifindex, policed=policed, bridge=indexes.get(seat.bridge, 0))
            is_led_to = policed or (switched and seat.dispatched)
            found[key] = own if is_led_to and key not in found else KNOWN
    vlans = [each for each in seats if each.seat.tag is not None and not wanted.deep]
    for each in vlans if wanted.unknown == "drop" or switched else ():
        found.setdefault(each.address, KNOWN)
    if not any(seat.catch_all for seat in wanted.seats):
        address = wanted.address
        if address is None:
            address = mac_number(str(host.by_name[wanted.root].properties["address"]))
        found.setdefault(address, KNOWN)
    return found


def moved(shape: hashing.Shape, shifts: Mapping[int, int], before: Mapping[int, Slot],
          wanted: Mapping[int, Place]) -> hashing.Table | None:  # fmt: skip
    """The loaded hash table less the keys that go, plus those that come; None: it has no room.

    Where none does, as in most changes of thousands of devices, it is told by its shifts alone.
    """
    table = hashing.Table(shape, dict(shifts))
    if before.keys() == wanted.keys():
        return table
    for key, slot in before.items():
        table.slots[slot.position] = key
        table.members.setdefault(shape.bucket(key), set()).add(key)
    for key in before.keys() - wanted.keys():
        table.drop(key)
    for key in sorted(wanted.keys() - before.keys()):
        if table.place(key) is None:
            return None
    return table


def slots(
    table: hashing.Table,
    found: Mapping[int, Place],
    seats: Sequence[Seated],
    entries: Mapping[int, Entry],
) -> dict[int, Slot]:
    """What stands at each position; `entries` are those of the devices that have a policy here."""
    filled: dict[int, Slot] = {}
    for key, place in found.items():
        position = table.slot(key)
        filled[position] = _slot(position, key, place, entries)
    for each in seats:
        if each.seat.catch_all:
            position = table.shape.slots
            place = Place(each.ifindex, policed=True)
            filled[position] = _slot(position, each.address, place, entries)
    return filled


def _slot(position: int, key: int, place: Place, entries: Mapping[int, Entry]) -> Slot:
    entry = entries.get(place.ifindex) if place.policed else None
    policy, block = (entry.policy, entry.block) if entry is not None else (0, 0)
    below = entries.get(place.bridge)
    bridge = Bridge(below.policy, below.block, below.ifindex) if below is not None else NO_BRIDGE
    return Slot(position, key, policy, block, place.ifindex, place.hub, bridge)
