"""One device of the file against the live link: what differs, and how it may be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from xdpctl.host.state import Host, Link
from xdpctl.plan.operation import Difference
from xdpctl.plan.stacking import peer_of
from xdpctl.record import record
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import port_table, table
from xdpctl.topology.model import Device, Value
from xdpctl.topology.property import Change, Property

DOWN = frozenset({Change.DOWN, Change.DOWN_NO_PORTS})
NO_PORTS = frozenset({Change.NO_PORTS, Change.DOWN_NO_PORTS})


@record
class Comparison:
    """What the file names and the host has otherwise.

    changes   the differing properties
    forced    the property that only delete and re-create can change, or ""
    down      some change needs the device to be down
    no_ports  some change needs the device to be without ports
    """

    changes: Mapping[str, Difference] = field(default_factory=dict)
    forced: str = ""
    down: bool = False
    no_ports: bool = False


SAME = Comparison()


def compare(device: Device, link: Link, host: Host) -> Comparison:
    """The properties of one device; those that the file leaves out are left alone."""
    live = link.properties
    differing = [
        name for name, wanted in device.properties.items() if live.get(name) != wanted
    ]  # the common case of no difference at all must cost next to nothing
    if not differing:
        return SAME
    rows = table(device.kind)
    changes: dict[str, Difference] = {}
    rules: dict[str, Change] = {}
    for name in differing:
        if name == "address" and device.derived and device.netns:
            continue  # it was born with ours, and is followed wherever it went
        row, wanted = rows[name], device.properties[name]
        before = observed(name, row, link, host)
        if not row.compared or row.same(wanted, before) or out_of_sight(name, link):
            continue
        changes[name] = Difference(before, wanted)
        rules[name] = row.change_for(before, wanted)
    for name in list(changes):
        for dragged in rows[name].drags:
            if dragged in device.properties and dragged not in changes:
                value = device.properties[dragged]
                changes[dragged] = Difference(live.get(dragged), value)
    forced = next((name for name, rule in rules.items() if rule is Change.RECREATE), "")
    used = set(rules.values())
    return Comparison(changes, forced, bool(used & DOWN), bool(used & NO_PORTS))


def observed(name: str, row: Property, link: Link, host: Host) -> Value | None:
    """The live value; what a dump leaves out is what the table says that means."""
    if name == "peer" and link.kind == "veth":
        peer = peer_of(host, link)
        return peer.name if peer else None
    value = link.properties.get(name)
    if value is None and isinstance(row.codec, Reference):
        return ""  # no device: ifindex 0
    if value is None:
        return row.default if row.absent is None else row.absent
    return value


def out_of_sight(name: str, link: Link) -> bool:
    """Whether the value cannot be seen from here: a veth's peer that lives elsewhere."""
    return name == "peer" and link.lower_elsewhere


def compare_port(
    kind: str, wanted: Mapping[str, Value], live: Mapping[str, Value]
) -> dict[str, Difference]:
    """A port's own properties under a master of the kind; all of them change in place."""
    rows = port_table(kind)
    changes: dict[str, Difference] = {}
    for name, value in wanted.items():
        before = live.get(name, rows[name].default)
        if not rows[name].same(value, before):
            changes[name] = Difference(before, value)
    return changes
