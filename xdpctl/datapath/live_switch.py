"""What is loaded for devices that frames are redirected into: entries, attachments, places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from xdpctl.bpf import links, objects, pins
from xdpctl.bpf.maps import Map
from xdpctl.bpf.objects import Object
from xdpctl.datapath.gates import Gates
from xdpctl.datapath.layout import FLOOD_PROGRAM, INDEX, RELAY
from xdpctl.datapath.switch_maps import (
    DELIVER,
    PLACES,
    UPLINKS,
    Places,
    Uplink,
    read_delivered,
    read_places,
    read_uplinks,
)
from xdpctl.host import uc_list
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Host
from xdpctl.record import record


@record
class Pinned:
    """The link of one device's program: its pin's name, and the program's id."""

    name: str
    program_id: int


@record
class LiveSwitch:
    """A loaded switch.

    capacity   devices that there is room for
    uplinks    by ifindex
    delivered  where frames go: ifindex by key
    places     who gets clones
    pinned     the links, by ifindex
    severed    names of the pins whose devices are gone, or whose program somebody has taken off
    relays     ifindexes of the devices that the relay hangs at, by name
    is_flooding  whether the flood hangs at the root
    taken_in   the addresses that the root's NIC lets in beside its own
    """

    capacity: int
    uplinks: Mapping[int, Uplink]
    delivered: Mapping[int, int]
    places: Places
    pinned: Mapping[int, Pinned]
    severed: tuple[str, ...]
    relays: Mapping[str, int]
    is_flooding: bool
    taken_in: frozenset[int]

    def standing(self, program_id: int) -> Mapping[int, Pinned]:
        """The links that run this program."""
        return {index: one for index, one in self.pinned.items() if one.program_id == program_id}


def read_switch(
    opened: Mapping[str, Map],
    programs: Map,
    paths: Iterable[Path],
    root: int,
    host: Host,
    gates: Gates,
) -> LiveSwitch | None:
    """None where the pipeline has none. `paths` are the pins of the links."""
    if UPLINKS not in opened:
        return None
    uplinks = dict(read_uplinks(opened[UPLINKS]))
    pinned: dict[int, Pinned] = {}
    severed: list[str] = []
    for name, info in _links(paths):
        if info.ifindex in host.by_index:
            pinned[info.ifindex] = Pinned(name, info.program_id)
        else:
            severed.append(name)
    return LiveSwitch(
        opened[UPLINKS].info.max_entries,
        uplinks,
        read_delivered(opened[DELIVER]),
        read_places(opened[PLACES]),
        pinned,
        tuple(severed),
        gates.running(uplinks, _member(programs, RELAY)),
        bool(gates.running([root], _member(programs, FLOOD_PROGRAM))),
        _taken_in(root, host),
    )


def _taken_in(root: int, host: Host) -> frozenset[int]:
    if root not in host.by_index:
        return frozenset()
    with Rtnl() as rtnl:
        return uc_list.read(rtnl, root)


def _links(paths: Iterable[Path]) -> Iterator[tuple[str, objects.LinkInfo]]:
    for path in paths:
        with Object(pins.open_pin(path)) as opened:
            if pins.kind(opened.fd) == "link":
                info = objects.link_info(opened.fd)
                if info.type == links.LinkType.XDP:
                    yield path.name, info


def _member(programs: Map, index: int) -> int:
    """The id of a member; 0, which no program has, where there is none."""
    value = programs.lookup(INDEX.pack(index))
    return int(INDEX.unpack(value)[0]) if value is not None else 0
