"""Which block of counters each device has: those of its policy, and of its egress policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xdpctl.datapath import blocks
from xdpctl.datapath.layout import FLOOD
from xdpctl.datapath.loaded import Entry
from xdpctl.datapath.numbers import Full
from xdpctl.datapath.places import Seated
from xdpctl.datapath.policy_layout import PolicyLayout
from xdpctl.datapath.switch_maps import Uplink


def take_block(space: blocks.Blocks, size: int) -> int:
    """A block of so many counters; raises Full where there is none."""
    block = space.take(size)
    if block is None:
        raise Full
    return block


def entries_of(
    seats: Iterable[Seated],
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
        block = old.block if kept and old is not None else take_block(space, policy.room)
        flood = FLOOD[each.seat.flood]
        entries[each.ifindex] = Entry(each.ifindex, policy.index, flood, block, each.out)
    return entries


def uplinks_of(
    seats: Iterable[Seated],
    layouts: Mapping[str, PolicyLayout],
    loaded: Mapping[int, Uplink],
    space: blocks.Blocks,
) -> dict[int, Uplink]:
    """An entry for every device that frames are redirected into, with a block for its egress
    policy, which it keeps while it keeps that.
    """
    uplinks: dict[int, Uplink] = {}
    for each in seats:
        if not each.seat.delivered:
            continue
        policy = layouts[each.seat.egress] if each.seat.egress is not None else None
        old = loaded.get(each.ifindex)
        if policy is None:
            uplinks[each.ifindex] = Uplink(0, 0)
        elif old is not None and old.policy == policy.index:
            uplinks[each.ifindex] = old
        else:
            uplinks[each.ifindex] = Uplink(policy.index, take_block(space, policy.room))
    return uplinks
