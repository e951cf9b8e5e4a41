"""The diff of the datapath: pipelines wanted against pipelines loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.loaded import Live, LivePipeline
from xdpctl.errors import ConflictError
from xdpctl.host.state import Host
from xdpctl.plan import switch
from xdpctl.plan.handed import handed
from xdpctl.plan.operation import Action, Difference, Operation
from xdpctl.plan.pipeline_operations import Sweep, SyncPipeline
from xdpctl.plan.pipeline_rows import Comparison, policy_difference


def diff(
    wanted: Collection[Pipeline],
    host: Host,
    live: Live,
    *,
    vanishing: Collection[str] = (),
    moving: Collection[str] = (),
    take_over: bool = False,
) -> list[Operation]:
    """Operations that make the loaded pipelines the wanted ones.

    `vanishing` are devices that the same plan deletes or re-creates: what is loaded for them does
    not count. Nor does what is loaded for those that are `moving` to another network namespace, but
    their counters. Raises ConflictError where somebody else's program is on a root.
    """
    operations: list[Operation] = []
    vanishing = frozenset(vanishing).union(moving)
    desired = {pipeline.root: pipeline for pipeline in wanted}
    seated = {s.device for each in wanted for s in each.seats if s.policy or s.delivered}
    seated |= {each.root for each in wanted if each.delivered}
    strays = tuple(gate for gate in live.strays if gate[0] not in seated | set(vanishing))
    if live.broken or strays:
        paths = tuple(str(path) for path in live.broken)
        operations.append(Sweep(live.topology, paths, strays))
    for root in sorted(live.pipelines.keys() - desired.keys()):
        rows = tuple(_detached(live.pipelines[root], host, vanishing))
        left = handed(root, wanted, vanishing)
        operations.append(SyncPipeline(root, live.pipelines[root], None, rows, handed=left))
    for root, wanted_pipeline in desired.items():
        link = host.by_name.get(root) if root not in vanishing else None
        before = live.pipelines.get(root)
        pipeline = settled(wanted_pipeline, before)
        foreign = dict(_foreign(pipeline, host, live, vanishing))
        for name in () if take_over else foreign:
            raise ConflictError(
                f"{name} already has an XDP program that is not ours: {live.foreign.get(name, '')}",
                hint="--take-over replaces it",
            )
        comparison = Comparison(pipeline, before, link, host, vanishing)
        rows = tuple(comparison.rows())
        if rows or comparison.stale():
            left = handed(root, wanted, vanishing)
            operations.append(
                SyncPipeline(root, before, pipeline, rows, foreign, frozenset(moving), left)
            )
    return operations


def settled(wanted: Pipeline, before: LivePipeline | None) -> Pipeline:
    """Generic stays where native was tried in vain and only an attempt could tell."""
    if before is not None and before.mode == "generic" and wanted.auto and not wanted.certain:
        return wanted.generic()
    return wanted


def _foreign(
    wanted: Pipeline, host: Host, live: Live, vanishing: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Programs that no link of ours put where the pipeline is to go; orphans are swept before."""
    ours = {number for each in live.pipelines.values() for number in each.attached}
    for name in (*wanted.hooks, *(seat.device for seat in wanted.delivered)):
        link = host.by_name.get(name) if name not in vanishing else None
        if link is not None and link.xdp is not None:
            number = link.xdp.program_id
            if number not in ours | live.orphans:
                yield name, number


def _detached(before: LivePipeline, host: Host, vanishing: Collection[str]) -> Iterator[Action]:
    yield Action("detach", before.root, {"xdp.mode": Difference(before.mode, None)})
    names = before.description.by_index()
    for entry in before.entries.values():
        device = host.by_index.get(entry.ifindex)
        if device is not None and device.name not in vanishing:
            changes = policy_difference(names[entry.policy].name, None)
            yield Action("detach", device.name, changes)
    for index in before.switch.uplinks if before.switch is not None else ():
        device = host.by_index.get(index)
        if device is not None and device.name not in vanishing and index not in before.entries:
            change = Difference(switch.REDIRECT, None)
            yield Action("detach", device.name, {"xdp.deliver": change})
