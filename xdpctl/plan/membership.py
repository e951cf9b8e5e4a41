"""Ports: who enters which master, who leaves, and who does both so that the master can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xdpctl.host.state import Link
from xdpctl.plan.compare import compare_port
from xdpctl.plan.operation import Difference
from xdpctl.plan.survey import Survey, Wanted
from xdpctl.record import record
from xdpctl.topology.kinds import port_table
from xdpctl.topology.model import Device, Value

EXACT = frozenset({"bond", "team"})
"""Kinds of master where the file's list of ports is all. Others plug themselves into a bridge."""
QUEUE = "queue_id"
ONE_EACH = frozenset({"bond"})
"""Kinds of master whose transmit queues are one port's alone."""


@record
class Entry:
    """A device that becomes a port, with the properties that it shall have as one."""

    port: str
    master: str
    kind: str
    properties: Mapping[str, Value] = field(default_factory=dict)


@record
class Exit:
    """A port that leaves its master."""

    link: Link
    master: Link


@dataclass(slots=True)
class Membership:
    """All changes of membership, by the port's name; `tuning` is of ports that stay.

    lists  for each master whose ports change: its ports before and after, for the plan's lines
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    exits: dict[str, Exit] = field(default_factory=dict)
    tuning: dict[str, tuple[str, str, dict[str, Difference]]] = field(default_factory=dict)
    lists: dict[str, Difference] = field(default_factory=dict)


def membership(survey: Survey) -> Membership:
    """Compare the ports of every master of the file, and empty those that are to be deleted."""
    result = Membership()
    for wanted in survey.wanted.values():
        if tells_of_ports(survey, wanted) or wanted.reason or wanted.comparison.no_ports:
            compare_ports(survey, wanted, result)
    for link in survey.dead.values():
        leave_dead(survey, link, result)
    for wanted in survey.wanted.values():
        name, old = wanted.device.name, wanted.link
        if old is not None and wanted.reason and name not in result.entries:
            home = survey.alive(old.master)
            if home is not None and not governed(survey, home):  # it goes back to where it was
                result.entries[name] = Entry(name, home.name, home.kind, old.port)
    return result


def tells_of_ports(survey: Survey, wanted: Wanted) -> bool:
    """Whether the file says something of a master's ports, be it that one carries a macvlan."""
    if wanted.device.ports or wanted.device.portless:
        return True
    ports = survey.ports.get(wanted.link.ifindex, ()) if wanted.link else ()
    return any(port.name in survey.carriers for port in ports)


def compare_ports(survey: Survey, wanted: Wanted, result: Membership) -> None:
    """The ports of one master."""
    device, master = wanted.device, wanted.link
    current = {link.name: link for link in survey.ports.get(master.ifindex, ())} if master else {}
    staying = [name for name, link in current.items() if stays(survey, wanted, link)]
    goal = [*device.ports, *(name for name in staying if name not in device.ports)]
    anew = wanted.new or wanted.comparison.no_ports
    for name, link in current.items():
        if master and (anew or name not in goal):
            result.exits[name] = Exit(link, master)
    for name in goal:
        here = current.get(name)
        named = device.port_properties.get(name, {})
        if anew or here is None or here.ifindex in survey.dead:
            before = here.port if here and device.kind == (master.kind if master else "") else {}
            before = {**allowed(wanted, before), **lost(device, name, before)}
            result.entries[name] = Entry(name, device.name, device.kind, {**before, **named})
            old = survey.host.by_name.get(name)
            holder = survey.host.by_index.get(old.master) if old and old.master else None
            if old and holder:
                result.exits[name] = Exit(old, holder)
                if holder.name not in survey.wanted and holder.ifindex not in survey.dead:
                    survey.notes.append(
                        f"{name} leaves {holder.name}, which the file does not name"
                    )
        elif changes := compare_port(
            device.kind, {**lost(device, name, here.port), **named}, here.port
        ):
            result.tuning[name] = (device.name, device.kind, changes)
    if set(goal) != set(current) and not wanted.new:
        result.lists[device.name] = Difference(tuple(current), tuple(goal))


def allowed(wanted: Wanted, before: Mapping[str, Value]) -> dict[str, Value]:
    """What a port had of its own that its master still takes once it is changed (a bond's `prio`
    goes with the mode).
    """
    rows, device = port_table(wanted.device.kind), wanted.device
    live = wanted.link.properties if wanted.link is not None else {}
    return {
        name: value
        for name, value in before.items()
        if all(
            device.properties.get(other, live.get(other)) in values
            for other, values in rows[name].only_with
        )
    }


def lost(master: Device, port: str, live: Mapping[str, Value]) -> dict[str, Value]:
    """The transmit queue that the file gives to another port, as a queue is one port's alone."""
    queue = live.get(QUEUE) if master.kind in ONE_EACH else None
    others = (own.get(QUEUE) for name, own in master.port_properties.items() if name != port)
    return {QUEUE: 0} if queue and queue in others else {}


def governed(survey: Survey, master: Link) -> bool:
    """Whether the file says which ports a master has."""
    wanted = survey.wanted.get(master.name)
    return wanted is not None and (bool(wanted.device.ports) or wanted.device.portless)


def stays(survey: Survey, wanted: Wanted, link: Link) -> bool:
    """Whether a port that the file does not list remains one.

    Where the file has no list, nothing is said about them, unless by what is to stand on them: a
    device has one rx_handler. Virtual machines and containers plug themselves into bridges: what
    the file does not know stays. A NIC does no such thing.
    """
    device = wanted.device
    if link.name in (*device.ports, *survey.carriers) or link.ifindex in survey.dead:
        return False
    if not device.ports and not device.portless:
        return True
    if device.kind in EXACT or link.kind == "" or link.name in survey.wanted:
        return False
    survey.notes.append(f"{link.name} stays a port of {device.name}, though the file does not say")
    return True


def leave_dead(survey: Survey, link: Link, result: Membership) -> None:
    """Whatever is a port of a doomed master, or doomed itself, leaves first, so it can return."""
    for port in survey.ports.get(link.ifindex, ()):
        result.exits.setdefault(port.name, Exit(port, link))
    master = survey.host.by_index.get(link.master) if link.master is not None else None
    if master is not None:
        result.exits.setdefault(link.name, Exit(link, master))
