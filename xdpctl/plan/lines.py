"""The lines of a plan about devices."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.host.links import label
from xdpctl.host.state import Link
from xdpctl.plan.operation import Action, Difference
from xdpctl.plan.survey import Wanted

MOVING = "moving takes it down: it loses its IP addresses, routes and qdiscs"


def created(wanted: Wanted, below: str | None) -> Action:
    """A device that is created, or deleted and created again; `below`: what it stands on now."""
    device = wanted.device
    changes: dict[str, Difference] = {}
    if wanted.link is None:
        changes = {"kind": Difference(None, device.kind)}
        if device.parent:
            changes["parent"] = Difference(None, device.parent)
        if device.netns:
            changes["netns"] = Difference(None, device.netns)
        changes |= {name: Difference(None, value) for name, value in device.properties.items()}
        if device.deliver:
            changes["deliver"] = Difference(None, device.deliver)
            changes["address"] = Difference(None, device.behind)
        if device.ports:
            changes["ports"] = Difference(None, device.ports)
        return Action("create", device.name, changes)
    if below != device.parent:
        changes["parent"] = Difference(below, device.parent)
    changes |= wanted.comparison.changes
    if wanted.link.kind != device.kind:
        changes["kind"] = Difference(wanted.link.kind, device.kind)
    return Action("replace", device.name, changes, wanted.reason)


def deleted(link: Link, because: str) -> Action:
    """A device of ours that goes."""
    reason = because if link.alias else "left by a run that was interrupted"
    return Action("delete", link.name, {}, reason)


def updated(
    wanted: Wanted, ports: Difference | None, tuned: Mapping[str, Difference], topology: str
) -> Action | None:
    """A device that changes in place; None if it does not."""
    changes = {**wanted.comparison.changes, **tuned}
    if ports is not None:
        changes["ports"] = ports
    if wanted.behind is not None:
        changes["address"] = wanted.behind
    if wanted.adopt and wanted.link is not None:
        alias = "" if wanted.device.kind == "physical" else label(topology)
        changes["alias"] = Difference(wanted.link.alias, alias)
    reason = wanted.adopt
    if wanted.moves and wanted.link is not None:
        changes["netns"] = Difference(wanted.link.netns or None, wanted.device.netns or None)
        reason = MOVING
    return Action("update", wanted.device.name, changes, reason) if changes else None
