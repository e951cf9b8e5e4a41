"""What a master forgets with a port that leaves, or with another property, against all wishes."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.host.state import Link
from xdpctl.plan.membership import Entry
from xdpctl.plan.operation import Difference
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import table
from xdpctl.topology.model import Device
from xdpctl.topology.property import Place


def is_forgotten(kind: str, name: str) -> bool:
    """Whether a master's property names a port, and is lost when that port leaves."""
    row = table(kind).get(name)
    return row is not None and row.place is Place.OPTION and isinstance(row.codec, Reference)


def named_again(
    device: Device, changes: Mapping[str, Difference], entries: Mapping[str, Entry]
) -> dict[str, Difference]:
    """What the file says and names a port that leaves and comes back, to be set once more."""
    return {
        name: Difference(None, value)
        for name, value in device.properties.items()
        if name not in changes
        and is_forgotten(device.kind, name)
        and str(value) in entries
        and entries[str(value)].master == device.name
    }


def dragged_along(link: Link, changes: Mapping[str, Difference]) -> dict[str, Difference]:
    """What is lost with other changes and not wanted any more: nothing to set now, but to be set
    when these are undone.
    """
    rows = table(link.kind)
    found: dict[str, Difference] = {}
    for name in {dragged for change in changes for dragged in rows[change].drags}:
        live = link.properties.get(name)
        lost = rows[name].place is Place.OPTION and not is_forgotten(link.kind, name)
        if lost and name not in changes and live not in (None, rows[name].default):
            found[name] = Difference(live, None)
    return found
