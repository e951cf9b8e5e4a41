"""The diff of devices: what to do to the links of the host."""

from __future__ import annotations

from dataclasses import dataclass

from xdpctl.host.state import Host
from xdpctl.plan.operation import Operation
from xdpctl.topology.model import Topology


@dataclass(frozen=True, slots=True)
class LinkChanges:
    """Operations to perform before the datapath is synced, and after it."""

    before: tuple[Operation, ...]
    after: tuple[Operation, ...]
    notes: tuple[str, ...] = ()


def diff(topology: Topology, host: Host, *, take_over: bool = False) -> LinkChanges:
    """What makes the host's links what the topology says."""
    raise NotImplementedError


def removal(name: str, host: Host) -> LinkChanges:
    """What removes every link that topology `name` owns."""
    raise NotImplementedError
