"""A topology's devices in other network namespaces: found, and made Links of its own Host.

An ifindex is unique within a namespace only. Whatever is keyed by the ifindex knows these devices
by a number of ours instead, which no ifindex can be (AWAY). The number stands in the name of the
gate at the device; a device without one gets a number that nobody has.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from xdpctl.bpf import program
from xdpctl.errors import KernelError, MissingError
from xdpctl.host import clsact, netns
from xdpctl.host.attributes import index, u32
from xdpctl.host.decode import IFLA_LINK, decode, number_of
from xdpctl.host.decode import IFLA_LINK_NETNSID as NSID
from xdpctl.host.links import birthmark, label
from xdpctl.host.netlink import message
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import AWAY, Away, Link, Places
from xdpctl.record import record

RTM_GETNSID, NETNSA_NSID, NETNSA_FD = 90, 1, 3
RTGENMSG = struct.Struct("=Bxxx")
GATE = re.compile(r"gate[dg]?_([89a-f][0-9a-f]{7})")
"""What the programs at devices in other namespaces are called (gate_name)."""


def gate_name(number: int, sort: str) -> str:
    """The name of a device's gate, with its number in it: `gate_8000002a`; `sort` is a letter for
    gates with other instructions.
    """
    return f"gate{sort}_{number:08x}"


@record
class Elsewhere:
    """What `read` found: our links, and the names that are taken by others."""

    links: tuple[Link, ...]
    others: Mapping[str, frozenset[str]]


@record
class _Found:
    """A link as its namespace numbers it. The device that it is tied to (IFLA_LINK) has the
    ifindex `tied` in the namespace `place` ("": the topology's own).
    """

    netns: str
    link: Link
    tied: int | None
    place: str
    gate: int
    number: int


def read(places: Places, own: Iterable[Link]) -> Elsewhere:
    """The topology's devices in the namespaces of `places`; `own` are the links in here.

    Those are its devices that the file puts there, and those with its label or birthmark, unless
    something in here has the name: a label can be written by whoever rules the namespace. One
    device a name, the file's first. A namespace that is gone has none.
    """
    taken = {link.name for link in own}
    found: list[_Found] = []
    others: dict[str, frozenset[str]] = {}
    home = netns.present()
    try:
        for name in places.namespaces:
            with suppress(MissingError), netns.entered(name), Rtnl() as rtnl:
                links, names = _links(name, places, taken, rtnl, home)
                found += links
                others[name] = names
    finally:
        os.close(home)
    chosen: dict[str, _Found] = {}
    for each in found:
        if each.netns == places.named.get(each.link.name) or each.link.name not in chosen:
            chosen[each.link.name] = each
    return Elsewhere(tuple(_joined(list(chosen.values()))), others)


def _links(
    place: str, places: Places, taken: set[str], rtnl: Rtnl, home: int
) -> tuple[list[_Found], frozenset[str]]:
    """Ours of the namespace that this thread is in, and the names of all others there."""
    mark, group = label(places.topology), birthmark(places.topology)
    ours: list[tuple[Link, bytes]] = []
    others: set[str] = set()
    for raw in rtnl.links():
        link = decode(raw)
        is_ours = link.alias == mark or (not link.alias and link.group == group)
        if places.named.get(link.name) == place or (is_ours and link.name not in taken):
            ours.append((link, raw))
        else:
            others.add(link.name)
    gates = clsact.program_ids(rtnl, [link.ifindex for link, _ in ours])
    numbers = {number: _number(number) for number in set(gates.values())}
    known = {_nsid(rtnl, home): ""}
    found = []
    for link, raw in ours:
        gate = gates.get(link.ifindex, 0)
        number = numbers.get(gate, 0)
        attributes = index(raw, 16)
        tied, at, other = number_of(attributes.get(IFLA_LINK)), attributes.get(NSID), place
        if at is not None:
            nsid = struct.unpack("=i", at)[0]
            if nsid not in known:
                known |= {_nsid_of(rtnl, each): each for each in places.namespaces}
            tied, other = (tied, known[nsid]) if nsid in known else (None, "")
        found.append(_Found(place, link, tied, other, gate if number else 0, number))
    return found, frozenset(others)


def _number(program_id: int) -> int:
    """The number in the name of a gate; 0 of another program, or one that is gone by now."""
    try:
        with program.open_id(program_id) as loaded:
            match = GATE.fullmatch(loaded.info.name)
    except KernelError:
        return 0
    return int(match[1], 16) if match else 0


def _nsid_of(rtnl: Rtnl, name: str) -> int:
    """The same of a namespace by its name."""
    try:
        descriptor = netns.opened(name)
    except MissingError:
        return -1
    try:
        return _nsid(rtnl, descriptor)
    finally:
        os.close(descriptor)


def _nsid(rtnl: Rtnl, descriptor: int) -> int:
    """What the socket's namespace calls the one of the descriptor; -1: it has no name for it."""
    body = RTGENMSG.pack(socket.AF_UNSPEC) + u32(NETNSA_FD, descriptor)
    answer = rtnl.ask(message(RTM_GETNSID, 0, body), "look for the number of a namespace")
    payload = index(answer, RTGENMSG.size).get(NETNSA_NSID)
    return int(struct.unpack("=i", payload)[0]) if payload else -1


def _joined(found: list[_Found]) -> Iterator[Link]:
    """The links, numbered, with what they stand on by the number that it has in the Host."""
    numbers: dict[tuple[str, int], int] = {}
    used: set[int] = set()
    for each in found:
        number = each.number
        while not number or number in used:
            number = AWAY | secrets.randbits(31)
        used.add(number)
        numbers[each.netns, each.link.ifindex] = number
    for each in found:
        away = Away(each.netns, each.link.ifindex, each.gate)
        lower = each.tied
        if each.place:
            lower = numbers.get((each.place, each.tied or 0))
        yield replace(
            each.link,
            ifindex=numbers[each.netns, each.link.ifindex],
            lower=lower,
            lower_elsewhere=each.link.lower_elsewhere and lower is None,
            master=None,
            away=away,
        )
