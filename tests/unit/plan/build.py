"""Short ways to write devices and topologies."""

from __future__ import annotations

from typing import Any

from tests.unit.plan.kernel import Kernel
from xdpctl.host.state import Host
from xdpctl.plan import links
from xdpctl.plan.operation import Action, Operation
from xdpctl.topology.model import Device, Location, Topology

STRUCTURE = ("parent", "ports", "portless", "port_properties")


def device(name: str, kind: str, **given: Any) -> Device:
    """A device of the file; what is not structure is a property."""
    structure = {key: given.pop(key) for key in STRUCTURE if key in given}
    return Device(name, kind, Location("f.yaml", 1, 1), properties=given, **structure)


def topology(*devices: Device, name: str = "edge") -> Topology:
    """A topology of them, lower before upper."""
    return Topology(name, {one.name: one for one in devices}, {}, {})


def steps(wanted: Topology, host: Host, *, take_over: bool = False) -> tuple[Operation, ...]:
    """All link operations of a plan."""
    changes = links.diff(wanted, host, take_over=take_over)
    return (*changes.before, *changes.members, *changes.after)


def told(operations: tuple[Operation, ...]) -> list[str]:
    """Their summaries."""
    return [operation.summary() for operation in operations]


def lines(operations: tuple[Operation, ...]) -> list[Action]:
    """The lines of the plan."""
    return [action for operation in operations for action in operation.actions()]


def applied(kernel: Kernel, wanted: Topology, *, take_over: bool = False) -> tuple[Operation, ...]:
    """Bring the kernel to the topology; a second plan is empty."""
    operations = steps(wanted, kernel.host(), take_over=take_over)
    kernel.perform(operations)
    again = steps(wanted, kernel.host())
    assert not again, f"{told(operations)}, and then still {told(again)}"
    return operations
