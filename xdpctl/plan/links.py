"""The diff of devices: what to do to the links of the host."""

from __future__ import annotations

from itertools import chain

from xdpctl.errors import ConflictError
from xdpctl.host.state import Host
from xdpctl.plan.conflicts import conflicts
from xdpctl.plan.emit import Emitter
from xdpctl.plan.operation import Operation
from xdpctl.plan.places import located
from xdpctl.plan.survey import Survey, doom, survey
from xdpctl.record import record
from xdpctl.topology.model import Topology

TAKE_OVER = "--take-over adopts devices that the file names"


@record
class LinkChanges:
    """Operations to perform before the datapath is synced, and after it.

    members    between the two: ports enter and leave. What they enter and leave is synced after it
    moved      the masters and ports that `members` is about
    ports      those that are ports afterwards and were none of that master before
    vanishing  the links that are deleted, be it for good or to be created again
    moving     those that go to another network namespace: they lose their gates
    """

    before: tuple[Operation, ...]
    after: tuple[Operation, ...]
    members: tuple[Operation, ...] = ()
    notes: tuple[str, ...] = ()
    vanishing: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()
    ports: frozenset[str] = frozenset()


def diff(topology: Topology, host: Host, *, take_over: bool = False) -> LinkChanges:
    """What makes the host's links what the topology says.

    Raises MissingError for roots that are not there, and ConflictError with everything of
    somebody else's that is in the way. What the file leaves out is left alone.
    """
    emitter, problems = drafted(topology, host, take_over=take_over)
    if problems and not take_over:
        _, others = drafted(topology, host, take_over=True)
        refuse(problems, hint=TAKE_OVER if len(others) < len(problems) else None)
    refuse(problems)
    return emitted(emitter)


def drafted(topology: Topology, host: Host, *, take_over: bool) -> tuple[Emitter, list[str]]:
    """The steps to be, and all that is in their way."""
    found = survey(topology, host, take_over=take_over)
    emitter = Emitter(found)
    problems = [*found.conflicts, *conflicts(found, emitter.entering(), take_over=take_over)]
    return emitter, list(dict.fromkeys(problems))


def removal(name: str, host: Host) -> LinkChanges:
    """What removes every link that topology `name` owns."""
    found = Survey(name, host, gone_because="")
    doom(found)
    refuse(list(dict.fromkeys(found.conflicts)))
    return emitted(Emitter(found))


def emitted(emitter: Emitter) -> LinkChanges:
    """The steps in their order."""
    survey = emitter.survey
    parts = emitter.steps().ordered()
    count = len(parts[0]), len(parts[1])
    steps = tuple(located(chain(*parts), survey.host))
    before, members = steps[: count[0]], steps[count[0] : sum(count)]
    after = steps[sum(count) :]
    vanishing = frozenset(link.name for link in survey.dead.values())
    entries, exits = emitter.members.entries, emitter.members.exits
    moved = {*exits, *(entry.master for entry in entries.values())}
    moved |= {leaving.master.name for leaving in exits.values()}
    anywhere = survey.wanted if survey.host.places.namespaces else {}
    moving = frozenset(name for name, one in anywhere.items() if one.moves)
    return LinkChanges(
        before, after, members, tuple(survey.notes), vanishing, moving,
        frozenset(moved), frozenset(entries),
    )  # fmt: skip


def refuse(problems: list[str], *, hint: str | None = None) -> None:
    """Raise all conflicts at once."""
    if problems:
        raise ConflictError("\n".join(problems), hint=hint)
