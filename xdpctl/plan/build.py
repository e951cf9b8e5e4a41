"""From a topology and the live host to a plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from xdpctl.datapath.blueprint import Pipeline, blueprint
from xdpctl.datapath.live import Live
from xdpctl.datapath.named import redirected_to
from xdpctl.host.state import Host
from xdpctl.plan import links, pipeline
from xdpctl.plan.link_operations import EnslaveLink
from xdpctl.plan.operation import Action, Op, Operation
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
    wanted = blueprint(topology, host, live.features, settled)
    return _joined(topology.name, changes, wanted, host, live, take_over=take_over)


def teardown(name: str, host: Host, live: Live) -> Plan:
    """The operations that remove everything that topology `name` owns on the host."""
    return _joined(name, links.removal(name, host), (), host, live, take_over=False)


def _joined(
    name: str,
    changes: links.LinkChanges,
    wanted: tuple[Pipeline, ...],
    host: Host,
    live: Live,
    *,
    take_over: bool,
) -> Plan:
    """The links' operations with the datapath's between them.

    A pipeline that goes for good goes last: its devices are policed until they are deleted. But a
    port has none beside its bond's (the kernel refuses either), so it goes before it enters. A
    bond runs what its ports run, so its own comes after they have entered and left, unless it has
    to make way for a port that cannot run it. One that stands on the ports is there before they
    enter, and as long as they have not left; from the bond to its ports, and back, it moves while
    the bond has none.
    """
    sync = pipeline.diff(wanted, host, live, vanishing=changes.vanishing, take_over=take_over)
    first: list[Operation] = []
    moved: list[Operation] = []
    last: list[Operation] = []
    members = changes.members
    for step in sync:
        if not isinstance(step, pipeline.SyncPipeline):
            first.append(step)
        elif step.after is None:
            (first if step.root in changes.ports else last).append(step)
        elif step.moves and step.root in changes.moved:
            members = _between(members, step)
        elif step.root in changes.moved and not step.on_ports and not _makes_way(step):
            moved.append(step)
        else:
            first.append(step)
    steps = (*changes.before, *first, *members, *moved, *changes.after)
    last[:0] = _afterwards(wanted, live, changes) if steps else ()
    notes = dict.fromkeys(note for each in wanted for note in each.notes)
    return Plan(name, (*steps, *last), (*changes.notes, *notes))


def _between(members: tuple[Operation, ...], step: pipeline.SyncPipeline) -> tuple[Operation, ...]:
    """The step where the root has no ports: to the ports as soon as they have left, as the kernel
    gives a bond with a program no mode that has none; from them only once it has its mode.
    """
    changes = [
        (at, one.before == step.root)
        for at, one in enumerate(members)
        if isinstance(one, EnslaveLink) and step.root in (one.before, one.after)
    ]
    left = [at + 1 for at, leaves in changes if leaves]
    enters = [at for at, leaves in changes if not leaves]
    later = left[-1:] if step.on_ports else enters[:1]
    place = later[0] if later else 0 if step.on_ports else len(members)
    return (*members[:place], step, *members[place:])


def _afterwards(
    wanted: tuple[Pipeline, ...], live: Live, changes: links.LinkChanges
) -> list[Operation]:
    """What follows once all else is done."""
    follow: list[Operation] = [
        pipeline.FollowAddress(each.root, each) for each in wanted if each.follows
    ]
    release: list[Operation] = [
        pipeline.ReleasePorts(each.root, each)
        for each in wanted
        if each.root in live.pipelines
        and live.pipelines[each.root].on_ports
        and each.root in changes.moved
    ]
    return [*follow, *release]


def _makes_way(step: pipeline.SyncPipeline) -> bool:
    """Whether native XDP ends."""
    modes = [each.mode if each is not None else None for each in (step.before, step.after)]
    return modes == ["native", "generic"]
