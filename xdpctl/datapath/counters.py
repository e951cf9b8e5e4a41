"""What becomes of the counters when a pipeline is rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xdpctl.bpf.maps import Map
from xdpctl.datapath.counter_map import Counted
from xdpctl.datapath.layout import HEAD, Counters
from xdpctl.datapath.loaded import Entry, LivePipeline
from xdpctl.datapath.policy_layout import PolicyLayout
from xdpctl.datapath.switch_maps import Uplink
from xdpctl.datapath.tables import Tables


def moved(before: LivePipeline, wanted: Tables) -> dict[int, int]:
    """Where each counter of the old map goes on in the new one.

    A rule is the same while its name and action are, in a policy of the same name on the same
    device; the head of a block (default, malformed, …) always is. A device is the same while our
    gate hangs at it: its ifindex may be another's by now.
    """
    pairs: dict[int, int] = {}
    old_names, new_names = before.description.by_index(), wanted.description.by_index()
    for old, new in (*_entries(before, wanted), *_uplinks(before, wanted)):
        if old is None or old.policy not in old_names or new.policy not in new_names:
            continue
        layout = old_names[old.policy]
        if layout.name == new_names[new.policy].name:
            pairs |= _block(layout, old.block, new_names[new.policy], new.block)
    described, was = wanted.description, before.description
    if not before.ifindex:
        return pairs  # another root, maybe another namespace of the same name
    if described.root_policy is not None and described.root_policy == was.root_policy:
        name = described.root_policy
        old_layout, new_layout = was.policies[name], described.policies[name]
        pairs |= _block(old_layout, was.root_block, new_layout, described.root_block)
    else:
        pairs |= {was.root_block + i: described.root_block + i for i in HEAD}
    return pairs


def _entries(
    before: LivePipeline, wanted: Tables
) -> Iterator[tuple[Entry | Uplink | None, Entry | Uplink]]:
    """What devices had for what goes to them, and have."""
    for ifindex, entry in wanted.entries.items():
        yield before.entries.get(ifindex) if ifindex in before.known else None, entry


def _uplinks(
    before: LivePipeline, wanted: Tables
) -> Iterator[tuple[Entry | Uplink | None, Entry | Uplink]]:
    """The same for what comes from them: there a program of ours stands."""
    live = before.switch
    for ifindex, uplink in wanted.uplinks.items() if live is not None else ():
        yield live.uplinks.get(ifindex) if live and ifindex in live.pinned else None, uplink


def _block(old: PolicyLayout, old_block: int, new: PolicyLayout, new_block: int) -> dict[int, int]:
    """A rule's counter to the same rule's, one of a rule that is gone to its verdict's total."""
    pairs = {old_block + i: new_block + i for i in HEAD}
    kept = {rule.key: rule.counter for rule in new.rules}
    totals = {rule.verdict: rule.counter for rule in new.retired}
    for rule in (*old.retired, *old.rules):
        counter = kept.get(rule.key, totals.get(rule.verdict) if rule.verdict else None)
        if counter is not None:
            pairs[old_block + rule.counter] = new_block + counter
    return pairs


def amounts(old: Map, pairs: Mapping[int, int]) -> dict[int, Counters]:
    """What the old map has counted, by counter of the new one."""
    counted = Counted(old)
    sums: dict[int, Counters] = {}
    for source, target in pairs.items():
        sums[target] = sums.get(target, Counters()) + counted[source]
    return sums
