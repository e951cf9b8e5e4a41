"""Operations on links. Each stands for one netlink write, so a run can stop after any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from xdpctl.plan.operation import Action, Difference, Operation
from xdpctl.record import record
from xdpctl.topology.model import Device, Value

DEVGROUP = "device group"
"""IFLA_GROUP among the changes of a ChangeLink: for some kinds `group` is something else."""


@record
class LinkOperation(Operation):
    """What all of them share: the link, and the lines of the plan that the step stands for.

    netns  the other network namespace that the link is in by then ("": the topology's own)
    """

    name: str
    netns: str = field(default="", kw_only=True)
    shown: tuple[Action, ...] = field(default=(), kw_only=True)

    @property
    def touched(self) -> frozenset[str]:
        """The link itself."""
        return frozenset({self.name})

    def actions(self) -> tuple[Action, ...]:
        """The lines of the plan that this step stands for."""
        return self.shown


@record
class CreateLink(LinkOperation):
    """Create a device, down and unlabelled, in the IFLA_GROUP `group` (the birthmark).

    `ifindex` is that of the device which this one brings back (0: whichever is next), so that
    what refers to it by its ifindex is right again; `peer_ifindex` that of a veth's other end.
    `below` is the other network namespace that its parent is in ("": the topology's own).
    """

    device: Device
    group: int
    ifindex: int = 0
    peer_ifindex: int = 0
    below: str = field(default="", kw_only=True)

    def reverse(self) -> tuple[Operation, ...]:
        """Delete it."""
        return (DeleteLink(self.name, netns=self.netns),)

    def summary(self) -> str:
        """`create macvlan web0 on eth0`."""
        on = f" on {self.device.stands_on}" if self.device.stands_on else ""
        where = f" in network namespace {self.netns}" if self.netns else ""
        return f"create {self.device.kind} {self.name}{on}{where}"


@record
class MoveLink(LinkOperation):
    """Move a device, which is down, from its namespace to `after` ("": the topology's own).

    It loses its IP addresses, its routes and its qdiscs. `ifindex` is the one to have there (0: its
    present one, if that is free); `home` the one that it has here, for the way back.
    """

    after: str
    ifindex: int = 0
    home: int = 0

    def reverse(self) -> tuple[Operation, ...]:
        """Move it back, to what it had."""
        return (
            MoveLink(self.name, self.netns, self.home, netns=self.after),
            RestoreAddresses(self.name, netns=self.netns),
        )

    def summary(self) -> str:
        """`move web0 to network namespace ct1`."""
        to = f"network namespace {self.after}" if self.after else "the topology's network namespace"
        return f"move {self.name} to {to}"


@record
class DeleteLink(LinkOperation):
    """Delete a device. `restore` re-creates what it was: link, label, properties, addresses."""

    restore: tuple[Operation, ...] = ()

    def reverse(self) -> tuple[Operation, ...]:
        """The steps that re-create it."""
        return self.restore

    def summary(self) -> str:
        """`delete web0`."""
        return f"delete {self.name}"


@record
class ChangeLink(LinkOperation):
    """Set properties of an existing device; `alias` and DEVGROUP may be among them.

    A property whose `before` is None cannot be put back and stays as set. The kernel sets one
    after the other, so it may have set some when it refuses another (do_setlink).
    """

    divisible = True

    kind: str
    changes: Mapping[str, Difference]

    def reverse(self) -> tuple[Operation, ...]:
        """Set the values from before."""
        back = swapped(self.changes)
        return (ChangeLink(self.name, self.kind, back, netns=self.netns),) if back else ()

    def summary(self) -> str:
        """`set mtu 9000 of web0`."""
        return f"set {spelled(self.changes)} of {self.name}"


@record
class EnslaveLink(LinkOperation):
    """Make a device a port of `after`, having been one of `before` (None: of none).

    kind     the kind of the master that is entered or left
    port     the port's own properties under `before`, to be put back by the reverse
    address  that of `before`, if it loses it with the last port: put back by the reverse too
    lost     properties of `before` that name the port and are lost with it: put back as well
    """

    before: str | None
    after: str | None
    kind: str
    port: Mapping[str, Value] = field(default_factory=dict)
    address: Value | None = None
    lost: Mapping[str, Value] = field(default_factory=dict)

    def reverse(self) -> tuple[Operation, ...]:
        """Go back to the master before, with the port's properties of then."""
        back: list[Operation] = [EnslaveLink(self.name, self.after, self.before, self.kind)]
        if self.before is not None and self.address is not None:
            address = {"address": Difference(self.address, self.address)}
            back.append(ChangeLink(self.before, self.kind, address))
        if self.before is not None and self.port:
            changes = {name: Difference(None, value) for name, value in self.port.items()}
            back.append(ChangePort(self.name, self.kind, changes))
        if self.before is not None and self.lost:
            changes = {name: Difference(None, value) for name, value in self.lost.items()}
            back.append(ChangeLink(self.before, self.kind, changes))
        return tuple(back)

    def summary(self) -> str:
        """`add eth1 to bond0`, `remove eth1 from bond0`."""
        if self.after is None:
            return f"remove {self.name} from {self.before}"
        return f"add {self.name} to {self.after}"


@record
class ChangePort(LinkOperation):
    """Set a port's own properties (bond: queue_id, prio); `kind` is the master's."""

    kind: str
    changes: Mapping[str, Difference]

    def reverse(self) -> tuple[Operation, ...]:
        """Set the values from before."""
        back = swapped(self.changes)
        return (ChangePort(self.name, self.kind, back),) if back else ()

    def summary(self) -> str:
        """`set queue_id 1 of port eth1`."""
        return f"set {spelled(self.changes)} of port {self.name}"


@record
class RestoreAddresses(LinkOperation):
    """Give a re-created device the IP addresses and routes that its deletion took from it.

    They are read when the device is deleted, so this stands only in the reverse of a DeleteLink.
    """

    def reverse(self) -> tuple[Operation, ...]:
        """Nothing: they go with the device."""
        return ()

    def summary(self) -> str:
        """`restore the addresses of web0`."""
        return f"restore the addresses of {self.name}"


def swapped(changes: Mapping[str, Difference]) -> dict[str, Difference]:
    """The changes back to where they came from, as far as that is known."""
    return {
        name: Difference(change.after, change.before)
        for name, change in changes.items()
        if change.before is not None
    }


def spelled(changes: Mapping[str, Difference]) -> str:
    """`mtu 9000 and state up`."""
    return " and ".join(f"{name} {words(change.after)}" for name, change in changes.items())


def words(value: Value | None) -> str:
    """A value in a sentence."""
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, tuple):
        return str(value)
    return ",".join(
        ":".join(map(str, one)) if isinstance(one, tuple) else words(one) for one in value
    )
