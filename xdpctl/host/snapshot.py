"""The live links of the current network namespace, from one dump (and one of each team)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from xdpctl.host.likeness import decode_all
from xdpctl.host.mirror import Mirror
from xdpctl.host.netns import identify
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Host, Link, Places
from xdpctl.host.team import Options, Team
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import KINDS, port_table, table
from xdpctl.topology.kinds.team import NO_MODE
from xdpctl.topology.model import Value
from xdpctl.topology.property import Composite, Place, Property

TEAM = "team"


def read(places: Places | None = None, mirror: Mirror | None = None) -> Host:
    """All links of the namespace of this thread (as `mirror` has them, if it is given), and those
    that a topology has in others.
    """
    links = with_options(mirror.links() if mirror is not None else _links())
    if places is None or not places.namespaces:
        return Host(identify(), named(links), places or Places())
    from xdpctl.host import elsewhere  # few have devices there

    found = elsewhere.read(places, links)
    return Host(identify(), named((*tied(links, found.links), *found.links)), places, found.others)


def _links() -> tuple[Link, ...]:
    with Rtnl() as rtnl:
        return decode_all(rtnl.links())


def tied(links: tuple[Link, ...], away: tuple[Link, ...]) -> tuple[Link, ...]:
    """The links in here, the ends of veths with the number of their other end elsewhere."""
    ends = {link.lower: link.ifindex for link in away if link.kind == "veth"}
    return tuple(
        replace(link, lower=ends[link.ifindex], lower_elsewhere=False)
        if link.kind == "veth" and link.ifindex in ends
        else link
        for link in links
    )


def with_options(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """The links with what another netlink family knows of them: teams and their ports."""
    teams = [link.ifindex for link in links if link.kind == TEAM]
    if not teams:
        return links
    with Team() as opened:
        found = {ifindex: opened.options(ifindex) for ifindex in teams}
    return tuple(optioned(link, found) for link in links)


def optioned(link: Link, found: Mapping[int, Mapping[int, Options]]) -> Link:
    """One link with its options, and those that it has as a port."""
    if link.ifindex in found:
        own = decoded(found[link.ifindex][0], table(TEAM), Place.OPTION)
        return replace(link, properties={**link.properties, **own})
    options = found.get(link.master or 0, {}).get(link.ifindex)
    if options is None:
        return link
    return replace(link, port=decoded(options, port_table(TEAM), Place.PORT_OPTION))


def decoded(options: Options, rows: Mapping[str, Property], place: Place) -> dict[str, Value]:
    """The values of the options that have a row; a flag that is off has no payload, and a team
    that was told no mode has none.
    """
    found: dict[str, Value] = {}
    for name, payload in options.items():
        row = rows.get(name)
        if row is not None and row.place is place and not isinstance(row.codec, Composite):
            found[name] = False if payload is None else row.codec.decode(payload)
    return {name: value for name, value in found.items() if value != NO_MODE}


def named(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """The links with names where a property or a veth's peer is another device.

    One in another namespace has no name here: a veth whose peer is there has no `peer` property,
    and `lower_elsewhere` says why.
    """
    names = {link.ifindex: link.name for link in links}
    return tuple(
        rename(link, names) if link.kind in NAMING or link.port else link for link in links
    )


def rename(link: Link, names: dict[int, str]) -> Link:
    """One link with names in place of ifindexes."""
    properties = renamed(link.properties, references(link.kind), names)
    if link.kind == "veth" and link.lower in names:
        properties["peer"] = names[link.lower]
    return replace(link, properties=properties, port=renamed(link.port, PORT_REFERENCES, names))


def renamed(
    values: Mapping[str, Value], rows: frozenset[str], names: dict[int, str]
) -> dict[str, Value]:
    """Values with the names of the devices that `rows` refer to; one that is gone is left out."""
    changed = dict(values)
    for name in rows & changed.keys():
        ifindex = changed.pop(name)
        if isinstance(ifindex, int) and ifindex in names:
            changed[name] = names[ifindex]
    return changed


@cache
def references(kind: str) -> frozenset[str]:
    """A kind's properties that name a device."""
    rows = KINDS[kind].properties if kind in KINDS else ()
    return frozenset(row.name for row in rows if isinstance(row.codec, Reference))


PORT_REFERENCES = frozenset(
    row.name
    for kind in KINDS.values()
    for row in kind.port_properties
    if isinstance(row.codec, Reference)
)
NAMING = frozenset(kind for kind in KINDS if references(kind)) | {"veth"}
