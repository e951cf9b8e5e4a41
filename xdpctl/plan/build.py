"""From a topology and the live host to a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property

from xdpctl.datapath.blueprint import Pipeline, blueprint
from xdpctl.datapath.loaded import Live
from xdpctl.datapath.named import redirected_to
from xdpctl.host.state import Host
from xdpctl.plan import attachments, links, offloads, pipeline
from xdpctl.plan.freed import addresses_freed
from xdpctl.plan.link_operations import EnslaveLink
from xdpctl.plan.offload_needs import needs
from xdpctl.plan.operation import Action, Op, Operation
from xdpctl.plan.pipeline_operations import FollowAddress, SyncPipeline
from xdpctl.plan.places import recording
from xdpctl.topology.model import Topology

OPS: tuple[Op, ...] = ("create", "update", "replace", "delete", "attach", "detach")


@dataclass(frozen=True)
class Plan:
    """Ordered operations that make the host what the topology says, and what else to know.

    operations  in the order in which to perform them
    notes       sentences for the user about what stays as it is, and why
    """

    topology: str
    operations: tuple[Operation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.operations)

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        """The lines of the plan as the user reads them."""
        return tuple(action for step in self.operations for action in step.actions())

    @cached_property
    def summary(self) -> dict[Op, int]:
        """How many actions of each sort there are; every sort is named, also with 0."""
        count = Counter(action.op for action in self.actions)
        return {op: count[op] for op in OPS}


def build(topology: Topology, host: Host, live: Live, *, take_over: bool = False) -> Plan:
    """The operations that turn `host` and `live` (the datapath's state) into `topology`.

    Raises MissingError for a root that is not there, and ConflictError with everything of
    somebody else's that is in the way. The datapath is synced while new devices are still down.
    """
    changes = links.diff(topology, host, take_over=take_over)
    loaded = [each.description.targets for each in live.pipelines.values()]
    settled = {name for targets in loaded for name in redirected_to(targets)}
    retyped = _retyped(topology, host, changes.vanishing)
    to_come = replace(host, links=tuple(one for one in host.links if one.name not in retyped))
    features = {name: found for name, found in live.features.items() if name not in retyped}
    wanted = blueprint(topology, to_come, features, settled)
    wanted = tuple(pipeline.settled(each, live.pipelines.get(each.root)) for each in wanted)
    attachments.check(topology, wanted, host, live)
    switches = offloads.diff(
        needs(topology, wanted, to_come), host, live, vanishing=changes.vanishing,
        kinds={device.name: device.kind for device in topology.devices.values()},
    )  # fmt: skip
    places = {each.netns for each in topology.devices.values() if each.netns}
    return _joined(
        topology.name, changes, wanted, switches, host, live, places, take_over=take_over
    )


def _retyped(topology: Topology, host: Host, vanishing: AbstractSet[str]) -> set[str]:
    """The devices that become another kind: what they can do now says nothing of what comes."""
    return {
        name
        for name in vanishing & topology.devices.keys()
        if host.by_name[name].kind != topology.devices[name].kind
    }


def teardown(name: str, host: Host, live: Live) -> Plan:
    """The operations that remove everything that topology `name` owns on the host."""
    changes = links.removal(name, host)
    switches = offloads.diff((), host, live, vanishing=changes.vanishing)
    return _joined(name, changes, (), switches, host, live, (), take_over=False)


def _joined(
    name: str,
    changes: links.LinkChanges,
    wanted: tuple[Pipeline, ...],
    switches: offloads.OffloadChanges,
    host: Host,
    live: Live,
    places: Iterable[str],
    *,
    take_over: bool,
) -> Plan:
    """The links' operations with the datapath's between them.

    Features of devices are switched for a program before it is attached, and back after all else.

    A pipeline that goes for good goes last: its devices are policed until they are deleted. But a
    port has none beside its bond's (the kernel refuses either), so it goes before it enters. A
    bond runs what its ports run, so its own comes after they have entered and left, unless it has
    to make way for a port that cannot run it. Where ports have a part in it, what leaves has left
    before it knows them no more, and what enters does so after.
    """
    sync = pipeline.diff(
        wanted, host, live,
        vanishing=changes.vanishing, moving=changes.moving, take_over=take_over,
    )  # fmt: skip
    first: list[Operation] = []
    moved: list[SyncPipeline] = []
    last: list[Operation] = []
    members, going = changes.members, changes.vanishing
    for step in sync:
        if not isinstance(step, SyncPipeline):
            first.append(step)
        elif step.after is None:
            (first if step.root in changes.ports else last).append(step)
        elif step.root not in changes.moved or (_makes_way(step) and not step.by_ports):
            first.append(step)
        else:
            moved.append(step)
    for step in [one for one in moved if one.by_ports]:
        free = [one for one in moved if one.root in _leaving(members, step.root)]
        members = _between(members, [*free, step], step)
        moved = [one for one in moved if one not in (*free, step)]
    first[:0] = switches.first
    steps = (*changes.before, *first, *members, *moved, *changes.after)
    if steps:
        late = [each for each in wanted if each.follows or addresses_freed(each, host, going)]
        last[:0] = [FollowAddress(each.root, each) for each in late]
    notes = dict.fromkeys(note for each in wanted for note in each.notes)
    recorded, forgotten = recording(host, places)
    steps = (*recorded, *steps, *last, *switches.last, *forgotten)
    return Plan(name, steps, (*changes.notes, *notes, *switches.notes))


def _leaving(members: Sequence[Operation], root: str) -> set[str]:
    """The ports that leave a root."""
    return {one.name for one in members if isinstance(one, EnslaveLink) and one.before == root}


def _between(
    members: tuple[Operation, ...],
    steps: Sequence[Operation],
    step: SyncPipeline,
) -> tuple[Operation, ...]:
    """The steps of the datapath between those by which ports leave the root and enter it.

    To the ports it goes as soon as they have left, as the kernel gives a bond with a program no
    mode that has none; from them only once the bond has its mode.
    """
    changes = [
        (at, one.before == step.root)
        for at, one in enumerate(members)
        if isinstance(one, EnslaveLink) and step.root in (one.before, one.after)
    ]
    left = [at + 1 for at, leaves in changes if leaves]
    enters = [at for at, leaves in changes if not leaves]
    if step.on_ports:
        place = left[-1] if left else min(enters, default=0)
    else:
        place = enters[0] if enters else len(members)
    return (*members[:place], *steps, *members[place:])


def _makes_way(step: SyncPipeline) -> bool:
    """Whether native XDP ends."""
    modes = [each.mode if each is not None else None for each in (step.before, step.after)]
    return modes == ["native", "generic"]
