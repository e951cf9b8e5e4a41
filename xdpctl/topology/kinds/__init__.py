"""The device kinds: one file each, one table of properties each."""

from __future__ import annotations

from functools import cache

from xdpctl.topology.kinds.bond import BOND
from xdpctl.topology.kinds.bridge import BRIDGE
from xdpctl.topology.kinds.common import COMMON
from xdpctl.topology.kinds.dummy import DUMMY
from xdpctl.topology.kinds.macvlan import MACVLAN, MACVTAP
from xdpctl.topology.kinds.physical import PHYSICAL
from xdpctl.topology.kinds.tap import TAP
from xdpctl.topology.kinds.team import TEAM
from xdpctl.topology.kinds.veth import VETH
from xdpctl.topology.kinds.vlan import VLAN
from xdpctl.topology.kinds.vxlan import VXLAN
from xdpctl.topology.property import Kind, Property

__all__ = ["COMMON", "KINDS", "find", "port_table", "spelled", "table"]

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (PHYSICAL, MACVLAN, MACVTAP, VETH, BRIDGE, VLAN, BOND, TEAM, TAP, DUMMY, VXLAN)
}


def spelled(name: str) -> str:
    """A property's name without what people write differently: `-` is `_`."""
    return name.replace("-", "_")


@cache
def table(kind: str) -> dict[str, Property]:
    """Every property of a kind (of none: the common ones) by its own name.

    A kind's own row hides a common one of that name (tap's and vxlan's `group`).
    """
    own = KINDS[kind].properties if kind in KINDS else ()
    taken = {other for row in own for other in (row.name, *row.aliases)}
    rows = [row for row in COMMON if row.name not in taken]
    return {row.name: row for row in (*rows, *own)}


@cache
def port_table(kind: str) -> dict[str, Property]:
    """What a port of such a master has, by name."""
    return {row.name: row for row in KINDS[kind].port_properties} if kind in KINDS else {}


@cache
def _names(kind: str, port: bool) -> dict[str, Property]:
    rows = (port_table(kind) if port else table(kind)).values()
    return {spelled(name): row for row in rows for name in (row.name, *row.aliases)}


def find(kind: str, name: str, *, port: bool = False) -> Property | None:
    """The property of that name or alias, `-` and `_` alike; `port`: of a port of such a master."""
    return _names(kind, port).get(spelled(name))
