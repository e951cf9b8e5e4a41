"""Runs of the whole: observe, plan, apply, destroy. Callers have entered the network namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from xdpctl.apply import lock
from xdpctl.apply.clock import Clock
from xdpctl.datapath import live as datapath
from xdpctl.datapath.blueprint import root_names
from xdpctl.datapath.loaded import Live
from xdpctl.errors import MissingError
from xdpctl.host import match, netns, placement, snapshot
from xdpctl.host.mirror import Mirror
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Host, Places
from xdpctl.plan import build, places
from xdpctl.plan import saved as saved_plans
from xdpctl.plan.build import Plan
from xdpctl.plan.ownership import labelled
from xdpctl.plan.rename import renamed
from xdpctl.plan.saved import Saved
from xdpctl.record import record
from xdpctl.topology.codecs import nearest
from xdpctl.topology.model import Topology

if TYPE_CHECKING:
    from xdpctl.apply.journal import Progress

Approve = Callable[[Plan], bool]
"""Shown the plan under the lock; False leaves the host as it is."""


@record
class Observation:
    """The live state that a plan starts from; `live` is the datapath's."""

    host: Host
    live: Live


@record
class Applied:
    """What a run did. `applied` is False where there was nothing to do or approval was refused.

    seconds  wall-clock time of `plan`, `apply` and `verify`, as far as the run came
    """

    plan: Plan
    applied: bool
    seconds: dict[str, float]


def observe(
    topology_name: str,
    roots: tuple[str, ...] = (),
    names: Iterable[str] = (),
    elsewhere: Mapping[str, str] | None = None,
    mirror: Mirror | None = None,
) -> Observation:
    """The live state of the current network namespace, as far as it concerns the topology, and of
    its devices in others.

    `roots` and `names` are the devices that its file puts programs on, and all that it names;
    `elsewhere` the namespaces that it puts devices into, by their names; `mirror` has what was
    read before, if it will be read again.
    """
    recorded = placement.recorded(netns.identify(), topology_name)
    host = snapshot.read(Places(topology_name, elsewhere or {}, recorded), mirror)
    return Observation(host, datapath.read(host, topology_name, roots, names, mirror))


def plan(topology: Topology, *, take_over: bool = False) -> tuple[Plan, Observation]:
    """What `apply` would do now, and the state it was computed from (for `saved.dump`)."""
    made, observation, _ = _plan(topology, take_over=take_over)
    return made, observation


def apply(
    topology: Topology,
    *,
    take_over: bool = False,
    saved: Saved | None = None,
    approve: Approve | None = None,
    progress: Progress | None = None,
) -> Applied:
    """Make the host what the topology says, verified, or leave it as it was.

    Raises LockedError, StalePlanError (with `saved`), ConflictError, MissingError, NotPermitted,
    and ApplyError when an operation failed and everything was undone.
    """
    clock = Clock()
    with lock.held(here := netns.identify()), Mirror() as mirror:
        if saved is not None:
            saved_plans.check_place(saved, here)
        with clock.measured("plan"):
            made, observation, found = _plan(topology, mirror, take_over=take_over)
        if saved is not None:
            saved_plans.check(saved, made, found, observation.host)
        again = partial(_replan, topology, mirror)
        return _carry_out(made, observation, again, approve, progress, clock, mirror)


def destroy(
    name: str,
    *,
    missing_ok: bool = False,
    approve: Approve | None = None,
    progress: Progress | None = None,
) -> Applied:
    """Remove everything that topology `name` owns in this network namespace, and nothing else.

    Where it owns nothing: MissingError with the nearest name, or nothing done if `missing_ok`.
    """
    clock = Clock()
    with lock.held(netns.identify()), Mirror() as mirror:
        with clock.measured("plan"):
            made, observation = _teardown(name, mirror)
        if not made.changed and not missing_ok:
            known = {*datapath.topologies(netns.identify()), *_labels()}
            raise MissingError(f"there is no topology {name} here{nearest(name, sorted(known))}")
        again = partial(_reteardown, name, mirror)
        return _carry_out(made, observation, again, approve, progress, clock, mirror)


def _plan(
    topology: Topology, mirror: Mirror | None = None, *, take_over: bool
) -> tuple[Plan, Observation, Topology]:
    found = _matched(topology)
    elsewhere = places.named(found)
    if elsewhere:
        places.check(found, netns.names(), netns.is_ours)
    observation = observe(found.name, root_names(found), found.devices, elsewhere, mirror)
    made = build.build(found, observation.host, observation.live, take_over=take_over)
    return made, observation, found


def _replan(topology: Topology, mirror: Mirror) -> Plan:
    """The plan after an apply. What was taken over is ours by now."""
    return _plan(topology, mirror, take_over=False)[0]


def _teardown(name: str, mirror: Mirror) -> tuple[Plan, Observation]:
    observation = observe(name, mirror=mirror)
    return build.teardown(name, observation.host, observation.live), observation


def _reteardown(name: str, mirror: Mirror) -> Plan:
    return _teardown(name, mirror)[0]


def _matched(topology: Topology) -> Topology:
    """The topology with its roots under the names of the devices that their `match:` fits."""
    wanted = [device for device in topology.devices.values() if device.match]
    if not wanted:
        return topology
    names: dict[str, str] = {}
    with Rtnl() as rtnl:
        for device in wanted:
            try:
                names[device.name] = match.resolve(device.match, rtnl)
            except MissingError as error:
                raise MissingError(f"{device.location}: {device.name}: {error}") from None
    return renamed(topology, names)


def _labels() -> set[str]:
    """The topologies that own a device here."""
    return {name for link in snapshot.read().links if (name := labelled(link))}


def _carry_out(
    made: Plan,
    before: Observation,
    again: Callable[[], Plan],
    approve: Approve | None,
    progress: Progress | None,
    clock: Clock,
    mirror: Mirror,
) -> Applied:
    """Carry a plan out, if there is anything to do and it is approved."""
    approved = approve is None or approve(made)
    if not made.changed or not approved:
        return Applied(made, False, clock.seconds)
    # Imported late: a run that finds nothing to do is a good deal shorter without.
    from xdpctl.apply.carry_out import carry_out

    carry_out(made, before.host, before.live, again, progress, clock, mirror)
    return Applied(made, True, clock.seconds)
