"""Options of teams and their ports, which go by a netlink family of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from xdpctl.apply.link_messages import after, ifindex, referred
from xdpctl.errors import XdpctlError
from xdpctl.host import links
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.snapshot import TEAM
from xdpctl.host.team import Options, Team
from xdpctl.plan.link_operations import ChangeLink, ChangePort, LinkOperation
from xdpctl.plan.operation import Operation
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import port_table, table
from xdpctl.topology.model import Value
from xdpctl.topology.property import Composite, Place, Property

PLACES = frozenset({Place.OPTION, Place.PORT_OPTION})


def belong(operation: Operation) -> bool:
    """Whether the operation sets options."""
    if not isinstance(operation, ChangeLink | ChangePort) or operation.kind != TEAM:
        return False
    rows = rows_of(operation)
    return any(is_option(rows, name) for name in operation.changes)


def without(operation: LinkOperation) -> ChangeLink | None:
    """The changes that rtnetlink makes, if there are any."""
    if not isinstance(operation, ChangeLink):
        return None
    rows = rows_of(operation)
    rest = {name: one for name, one in operation.changes.items() if not is_option(rows, name)}
    return replace(operation, changes=rest) if rest else None


def set_all(operation: LinkOperation, rtnl: Rtnl) -> None:
    """Set the options, in the order of the table: what comes with the mode after it.

    Those that are so already are left alone: a mode that a team is in is refused to it
    (team_change_mode), which a reverse may ask for where the change itself was refused. And no port
    cannot be asked for as the active one: that comes of its leaving.
    """
    assert isinstance(operation, ChangeLink | ChangePort)
    rows, wanted = rows_of(operation), after(operation.changes)
    index = referred(rows, wanted, operation)
    chosen = [
        (row, payload(row, wanted[name], index))
        for name, row in rows.items()
        if is_option(rows, name) and wanted.get(name, "") != ""
    ]
    if not chosen:
        return
    team, port = ifindex(operation.name, operation), 0
    if isinstance(operation, ChangePort):
        port = team
        team = links.decode(rtnl.link(port)).master or 0
    with Team() as opened:
        now = opened.options(team).get(port, {})
        different = [(row, value) for row, value in chosen if now.get(row.name) != value]
        set_or_none(opened, team, different, now, operation, port)


def set_or_none(
    opened: Team,
    team: int,
    wanted: Sequence[tuple[Property, bytes]],
    now: Options,
    operation: LinkOperation,
    port: int,
) -> None:
    """Set them one by one; where one of a port is refused, those before it are as they were. (A
    team's are the journal's to undo: ChangeLink is divisible.)
    """
    for at, one in enumerate(wanted):
        try:
            opened.set(team, [one], operation.summary(), port)
        except XdpctlError:
            done = wanted[:at] if port else ()
            back = [(row, as_before(now.get(row.name))) for row, _ in done]
            opened.set(team, back, operation.summary(), port)
            raise


def as_before(payload: bytes | None) -> bytes:
    """What to send for a value that was read: a flag has none while off, an empty one while on."""
    return b"\0" if payload is None else payload or b"\1"


def rows_of(operation: ChangeLink | ChangePort) -> dict[str, Property]:
    """The table that the changes are of."""
    of = port_table if isinstance(operation, ChangePort) else table
    return of(operation.kind)


def is_option(rows: Mapping[str, Property], name: str) -> bool:
    """Whether the property is an option."""
    return name in rows and rows[name].place in PLACES


def payload(row: Property, value: Value, index: Mapping[str, int]) -> bytes:
    """An option's value as the kernel takes it."""
    assert not isinstance(row.codec, Composite)
    named = isinstance(row.codec, Reference)
    return row.codec.encode(index[str(value)] if named else value)
