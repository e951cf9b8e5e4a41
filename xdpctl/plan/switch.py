"""The diff of what devices have that frames are redirected into."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.layout import MEMBERS_STACKED, MEMBERS_TAGGED, MEMBERS_UNKNOWN
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.seats import Seat
from xdpctl.datapath.switch_maps import ROOT_KEY
from xdpctl.host.state import Link
from xdpctl.plan.operation import Difference

REDIRECT = "redirect"


def flags(after: Pipeline) -> int:
    """What stands in the map for the programs of the switch."""
    stacked = any(s.dispatched and not s.delivered and s.tag is None for s in after.seats)
    found = MEMBERS_UNKNOWN if after.unknown == "pass" else 0
    found |= MEMBERS_TAGGED if any(seat.tag is not None for seat in after.seats) else 0
    return found | (MEMBERS_STACKED if stacked else 0)


def of_root(after: Pipeline, before: LivePipeline, root: Link) -> dict[str, Difference]:
    """Whether the root has a switch where it should, and the switch leads to the root."""
    live = before.switch
    wanted = REDIRECT if after.delivered else None
    if live is None or not after.delivered:
        found = REDIRECT if live is not None else None
    else:
        places = live.places
        leads = live.delivered.get(ROOT_KEY) == places.root == root.ifindex
        whole = leads and live.is_flooding and places.flags == flags(after)
        found = REDIRECT if whole else None
    return {"xdp.deliver": Difference(found, wanted)} if found != wanted else {}


def of_seat(
    seat: Seat, before: LivePipeline | None, device: Link | None, names: Mapping[int, str]
) -> dict[str, Difference]:
    """Whether frames are redirected into the device, and what comes from it meets its policy."""
    changes: dict[str, Difference] = {}
    live = before.switch if before is not None else None
    entry = live.uplinks.get(device.ifindex) if live is not None and device is not None else None
    wanted = REDIRECT if seat.delivered else None
    found = None
    if before is not None and device is not None and entry is not None:
        found = REDIRECT if not seat.delivered or is_whole(before, device, seat) else None
    if found != wanted:
        changes["xdp.deliver"] = Difference(found, wanted)
    egress = names.get(entry.policy) if entry is not None and found else None
    if egress != (seat.egress if seat.delivered else None):
        changes["xdp.egress"] = Difference(egress, seat.egress)
    return changes


def is_whole(before: LivePipeline, device: Link, seat: Seat) -> bool:
    """Whether all that is needed is at the device, and the root's NIC lets its frames in."""
    live, index = before.switch, device.ifindex
    if live is None:
        return False
    runs = index in live.standing(before.description.uplink)
    leads = live.delivered.get(index) == index and index in live.places.devices
    arrives = seat.address in live.taken_in
    return runs and leads and arrives and live.relays.get(device.name) == index
