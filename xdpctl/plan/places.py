"""Devices that live in other network namespaces: what the file wants there, and where steps are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from xdpctl.errors import MissingError, UnsupportedError
from xdpctl.host.state import Host, Link
from xdpctl.plan.link_operations import CreateLink, DeleteLink, LinkOperation, MoveLink
from xdpctl.plan.operation import Action, Operation
from xdpctl.plan.restore import in_place
from xdpctl.record import record
from xdpctl.topology.codecs import nearest
from xdpctl.topology.model import Location, Topology


@record
class RecordNamespaces(Operation):
    """Write down in which namespaces the topology has devices: before the first is put there, and
    after the last has left.
    """

    netns: str
    topology: str
    before: frozenset[str]
    after: frozenset[str]

    def actions(self) -> tuple[Action, ...]:
        """None: it belongs to what is done there."""
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        """What stood there before."""
        return (RecordNamespaces(self.netns, self.topology, self.after, self.before),)

    def summary(self) -> str:
        """One line."""
        return f"write down where devices of {self.topology} are"


def named(topology: Topology) -> dict[str, str]:
    """The namespaces that the file puts devices into, by the device's name."""
    return {one.name: one.netns for one in topology.devices.values() if one.netns}


def check(topology: Topology, present: Iterable[str], is_ours: Callable[[str], bool]) -> None:
    """Raise MissingError for namespaces of the file that are not among the present ones, and
    UnsupportedError for the topology's own.
    """
    there = frozenset(present)
    own = {name for name in set(named(topology).values()) if is_ours(name)}
    for one in topology.devices.values():
        if one.netns in own:
            raise UnsupportedError(
                f"{one.location}: {one.name}: the topology itself is in network namespace "
                f"{one.netns}",
                hint="leave netns out for what stays there",
            )
    missing: dict[str, Location] = {}
    for one in topology.devices.values():
        if one.netns and one.netns not in there:
            missing.setdefault(one.netns, one.location)
    if missing:
        raise MissingError(
            "\n".join(
                f"{location}: there is no network namespace {name}{nearest(name, sorted(there))}"
                for name, location in missing.items()
            ),
            hint="xdpctl makes none: `ip netns add`, or whoever runs the container, does",
        )


def recording(host: Host, wanted: Iterable[str]) -> tuple[list[Operation], list[Operation]]:
    """What to write down first, and last, so that a run that is killed can be followed."""
    before, after = host.places.recorded, frozenset(wanted)
    both = before | after
    name = host.places.topology
    first = [RecordNamespaces(host.netns, name, before, both)] if both != before else []
    last = [RecordNamespaces(host.netns, name, both, after)] if after != both else []
    return list(first), list(last)


def located(steps: Iterable[Operation], host: Host) -> Iterator[Operation]:
    """The steps, each with the namespace that its device is in when its turn comes."""
    if not host.places.namespaces:
        yield from steps
        return
    places = {name: link.netns for name, link in host.by_name.items() if link.away is not None}
    for step in steps:
        if isinstance(step, CreateLink):
            places[step.name] = step.device.netns
        yield _in_place(step, places, host) if isinstance(step, LinkOperation) else step
        if isinstance(step, MoveLink):
            places[step.name] = step.after


def _in_place(step: LinkOperation, places: Mapping[str, str], host: Host) -> LinkOperation:
    """A step in the namespace of its device; a deletion's way back leads to where this was."""
    here = replace(step, netns=places.get(step.name, ""))
    if isinstance(here, CreateLink):
        return replace(here, below=places.get(here.device.parent or "", ""))
    if isinstance(here, DeleteLink):
        return replace(here, restore=tuple(located(here.restore, host)))
    return here


def moving(link: Link, netns: str) -> MoveLink:
    """The step that moves a live link to the namespace."""
    return MoveLink(link.name, netns, 0, in_place(link))
