"""Operations on the datapath: what one root's pipeline becomes, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.plan.handed import Handed
from xdpctl.plan.operation import Action, Operation
from xdpctl.record import record


@record
class SyncPipeline(Operation):
    """Make one root's pipeline, its slots and its backstops what the blueprint says.

    before    as loaded (None: nothing is)
    after     as wanted (None: take it away)
    rows      what the user reads of it
    foreign   ids of somebody else's programs, to be taken over, by the device that they are on
    moving    devices that go to another network namespace, and go on counting there
    handed    what other pipelines of the plan take over at devices: it is left for them
    """

    root: str
    before: LivePipeline | None
    after: Pipeline | None
    rows: tuple[Action, ...]
    foreign: Mapping[str, int] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()
    handed: Handed = field(default_factory=Handed)

    @property
    def touched(self) -> frozenset[str]:
        """The devices whose XDP program is another, or another's, afterwards."""
        before = {self.before.root} if self.before is not None else set()
        after = {*self.after.hooks} if self.after is not None else set()
        return frozenset({self.root, *before, *after, *self.foreign})

    @property
    def on_ports(self) -> bool:
        """Whether it is to stand on the root's ports."""
        return self.after is not None and self.after.hooks != (self.root,)

    @property
    def by_ports(self) -> bool:
        """Whether ports have a part in it: a program or a stage of their own, before or after."""
        before, after = self.before, self.after
        loaded = before is not None and (before.on_ports or bool(before.description.ports))
        staged = after is not None and any(seat.is_port and seat.policy for seat in after.seats)
        return loaded or staged or self.on_ports

    def actions(self) -> tuple[Action, ...]:
        """One line for the root and one for each device whose stage changes."""
        return self.rows

    def reverse(self) -> tuple[Operation, ...]:
        """Put back what the performer kept."""
        return (RestorePipeline(self.root),)

    def summary(self) -> str:
        """One line."""
        verb = "sync" if self.before and self.after else "attach" if self.after else "detach"
        return f"{verb} the XDP pipeline of {self.root}"


@record
class FollowAddress(Operation):
    """Let the pipeline know the root's address once all else is done.

    A bridge or bond without an address of its own takes one from its ports, which join after the
    pipeline is attached.
    """

    root: str
    after: Pipeline

    @property
    def touched(self) -> frozenset[str]:
        """As of a SyncPipeline."""
        return frozenset({self.root, *self.after.hooks})

    def actions(self) -> tuple[Action, ...]:
        """None: it belongs to attaching the pipeline, or to the change of ports."""
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        """What the performer kept is put back."""
        return (RestorePipeline(self.root),)

    def summary(self) -> str:
        """One line."""
        return f"let the XDP pipeline of {self.root} follow its address"


@record
class RestorePipeline(Operation):
    """Undo a SyncPipeline of the same run: the performer kept what it replaced."""

    root: str

    def actions(self) -> tuple[Action, ...]:
        """None: undoing is no part of a plan."""
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        """Nothing: an undo is not undone."""
        return ()

    def summary(self) -> str:
        """One line."""
        return f"put back the XDP pipeline of {self.root}"


@record
class Sweep(Operation):
    """Remove what belongs to no whole pipeline: a run was killed between two writes.

    paths  pins; gates  devices (name, ifindex) that a gate of no pipeline hangs at
    """

    topology: str
    paths: tuple[str, ...]
    gates: tuple[tuple[str, int], ...]

    def actions(self) -> tuple[Action, ...]:
        """One line."""
        names = (*(path.rsplit("/", 1)[-1] for path in self.paths), *(n for n, _ in self.gates))
        return tuple(Action("detach", name, {}, "a gate or pin of no pipeline") for name in names)

    def reverse(self) -> tuple[Operation, ...]:
        """Nothing: what they pinned was in nobody's use."""
        return ()

    def summary(self) -> str:
        """One line."""
        return f"sweep up after a killed run of {self.topology}"
