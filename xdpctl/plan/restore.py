"""How to bring back a link that was deleted: the reverse of a DeleteLink."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.host.links import born_with
from xdpctl.host.state import Host, Link
from xdpctl.plan.forgotten import is_forgotten
from xdpctl.plan.link_operations import ChangeLink, CreateLink, RestoreAddresses
from xdpctl.plan.operation import Difference, Operation
from xdpctl.plan.stacking import CLOSED_BY_MASTER, MACVLANS, lower_of, peer_of
from xdpctl.topology.kinds import table
from xdpctl.topology.model import Device, Location, Value
from xdpctl.topology.property import Change, Property

NOWHERE = Location("", 0, 0)
NO_ADDRESS = "00:00:00:00:00:00"
"""That of a bridge whose last port has left (br_stp_change_bridge_id): none can be given it."""


def restoration(link: Link, host: Host) -> tuple[Operation, ...]:
    """The steps that re-create the link, with all its observed properties and addresses.

    Membership in a master is a step of its own, and so not in here. A bond or team takes no port
    that is up (bond_enslave, team_port_add), and opens it.
    """
    lower = lower_of(link)
    below = host.by_index.get(lower) if lower is not None else None
    peer = peer_of(host, link)
    properties = settable(link)
    if peer:
        properties["peer"] = peer.name
    master = host.by_index.get(link.master) if link.master is not None else None
    if master is not None and master.kind in CLOSED_BY_MASTER:
        properties.pop("state", None)
    device = Device(
        link.name, link.kind, NOWHERE, parent=below.name if below else None, properties=properties,
        netns=link.netns,
    )  # fmt: skip
    # Elsewhere the number is ours; and kernels (6.1) look in here whether it is free.
    index, other_end = (0, 0) if link.away else (link.ifindex, peer.ifindex if peer else 0)
    other_end = 0 if peer and peer.away else other_end
    steps: list[Operation] = [CreateLink(link.name, device, link.group, index, other_end)]
    changes = {
        name: Difference(None, value)
        for name, value in properties.items()
        if not born(link.kind, name, properties)
    }
    if link.alias:
        changes["alias"] = Difference("", link.alias)
    if changes:
        steps.append(ChangeLink(link.name, link.kind, changes))
    if peer:
        steps += restored_peer(peer)
    steps.append(RestoreAddresses(link.name))
    return tuple(steps)


def in_place(link: Link) -> int:
    """The ifindex that a link has in the namespace that it is in."""
    return link.away.ifindex if link.away is not None else link.ifindex


def restored_peer(peer: Link) -> list[Operation]:
    """The other end of a veth: it exists again already, as the kernel makes it."""
    rows = table(peer.kind)
    changes = {
        name: Difference(None, value)
        for name, value in settable(peer).items()
        if rows[name].change is not Change.RECREATE
    }
    if peer.alias:
        changes["alias"] = Difference("", peer.alias)
    return [ChangeLink(peer.name, peer.kind, changes), RestoreAddresses(peer.name)]


def settable(link: Link) -> dict[str, Value]:
    """The properties that say something: not the kernel's defaults, nor refused beside others."""
    rows = table(link.kind)
    return {
        name: value
        for name, value in link.properties.items()
        if name in rows
        and name != "group"
        and not is_forgotten(link.kind, name)
        and value != NO_ADDRESS
        and (value != rows[name].default or not rows[name].compared)
        and allowed(rows[name], link.properties)
    }


def born(kind: str, name: str, properties: Mapping[str, Value]) -> bool:
    """Whether the kernel takes the property at creation. A passthru device is born with the
    address of its lower device, whatever it is told (macvlan_common_newlink).
    """
    inherits = kind in MACVLANS and properties.get("mode") == "passthru"
    return born_with(kind, name) and not (inherits and name == "address")


def allowed(row: Property, properties: Mapping[str, Value]) -> bool:
    """Whether the kernel takes the property beside the others."""
    return all(properties.get(name) in values for name, values in row.only_with)
