"""Runs of the whole: observe, apply, destroy. Callers have entered the network namespace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdpctl.host.state import Host
from xdpctl.plan.build import Plan
from xdpctl.plan.operation import Operation
from xdpctl.plan.saved import Saved
from xdpctl.topology.model import Topology

Progress = Callable[[int, int, Operation], None]
"""Called with (done, of how many, the operation just begun)."""

Approve = Callable[[Plan], bool]
"""Shown the plan under the lock; False leaves the host as it is."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The live state that a plan starts from; `live` is the datapath's (xdpctl.datapath.live)."""

    host: Host
    live: object


@dataclass(frozen=True, slots=True)
class Applied:
    """What a run did. `applied` is False where there was nothing to do or approval was refused.

    seconds  wall-clock time of `plan`, `apply` and `verify`
    """

    plan: Plan
    applied: bool
    seconds: dict[str, float]


def observe(topology_name: str) -> Observation:
    """The live state of the current network namespace."""
    raise NotImplementedError


def plan(topology: Topology, *, take_over: bool = False) -> tuple[Plan, Observation]:
    """What `apply` would do now, and the state it was computed from (for `saved.dump`)."""
    raise NotImplementedError


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
    raise NotImplementedError


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
    raise NotImplementedError
