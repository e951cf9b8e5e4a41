"""A plan in a file: what was planned, from which texts, and what the host looked like then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xdpctl.host.state import Host
from xdpctl.plan.build import Plan
from xdpctl.topology.model import Topology


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved plan as read back.

    sources   each topology file's name and text (for `topology.load.load_texts`)
    document  the plan's JSON document at that time
    facts     the relevant live state at that time, device → fact → value
    """

    sources: Mapping[str, str]
    take_over: bool
    document: Mapping[str, Any]
    facts: Mapping[str, Mapping[str, Any]]


def dump(plan: Plan, topology: Topology, host: Host, *, take_over: bool = False) -> str:
    """The text of the plan's file (JSON)."""
    raise NotImplementedError


def recognise(text: str) -> bool:
    """Whether a file's text is a saved plan (and not a topology)."""
    raise NotImplementedError


def load(text: str) -> Saved:
    """Read a plan's file; raises UsageError if it is none, or of a format that is not known."""
    raise NotImplementedError


def check(saved: Saved, plan: Plan, topology: Topology, host: Host) -> None:
    """Raise StalePlanError, saying what changed, unless `plan` is still what was saved."""
    raise NotImplementedError
