"""A plan is carried out and verified, or undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from xdpctl.apply.clock import Clock
from xdpctl.apply.interrupt import Interrupt
from xdpctl.apply.journal import Journal, Progress, rolled_back
from xdpctl.apply.links import LinkPerformer
from xdpctl.apply.mend import mend
from xdpctl.apply.offloads import OffloadPerformer
from xdpctl.apply.performer import Performer, Performers
from xdpctl.apply.pipeline import PipelinePerformer
from xdpctl.apply.recorder import Recorder
from xdpctl.apply.verify import verify
from xdpctl.datapath.loaded import Live
from xdpctl.host import snapshot
from xdpctl.host.mirror import Mirror
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Host
from xdpctl.plan.build import Plan
from xdpctl.plan.operation import Operation
from xdpctl.plan.pipeline_operations import FollowAddress, RestorePipeline, Sweep, SyncPipeline

PIPELINE_TYPES = (SyncPipeline, FollowAddress, RestorePipeline, Sweep)


def carry_out(
    made: Plan,
    host: Host,
    before: Live,
    again: Callable[[], Plan],
    progress: Progress | None,
    clock: Clock,
    mirror: Mirror,
) -> None:
    """Perform a plan and verify that planning `again` finds nothing to do; or undo all of it.

    `host` and `before` (the datapath) are as they were; `mirror` is what they were read by.
    """
    mirror.touch(name for step in made.operations for name in step.touched)
    with (
        Rtnl() as rtnl,
        Interrupt() as interrupt,
        _performers(made, rtnl, partial(snapshot.read, host.places, mirror)) as performers,
    ):
        journal = Journal(performers)
        try:
            with clock.measured("apply"):
                journal.carry_out(made.operations, interrupt, progress)
            with clock.measured("verify"):
                verify(again())
            interrupt.check()
        except BaseException as error:
            raise rolled_back(journal, error, partial(mend, before, host.places)) from error


@contextmanager
def _performers(made: Plan, rtnl: Rtnl, read_host: Callable[[], Host]) -> Iterator[Performers]:
    """The performers of one run, by the types of operations that they perform."""
    topology = made.topology
    links = LinkPerformer(rtnl)
    pipeline = PipelinePerformer(topology, read_host)
    by_type: dict[type[Operation], Performer] = {}
    by_type |= dict.fromkeys(LinkPerformer.TYPES, links)
    by_type |= dict.fromkeys(PIPELINE_TYPES, pipeline)
    by_type |= dict.fromkeys(OffloadPerformer.TYPES, OffloadPerformer(topology))
    by_type |= dict.fromkeys(Recorder.TYPES, Recorder())
    performers = Performers(by_type)
    try:
        yield performers
    finally:
        performers.close()
