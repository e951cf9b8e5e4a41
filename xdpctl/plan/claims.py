"""Who must let go of something before another can have it: VLAN, VNI, a macvlan's address."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdpctl.plan.stacking import Claim, existing_claim, lower_of, running_claim
from xdpctl.plan.survey import Survey, Wanted


@dataclass(slots=True)
class Claims:
    """The claims that the plan frees.

    deleted  claim → the doomed device that holds it
    moving   claim → the device of the file that holds it now and will hold another
    cut      devices whose addresses go round in a circle: each steps aside first
    """

    deleted: dict[Claim, str] = field(default_factory=dict)
    moving: dict[Claim, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)


def claims(survey: Survey) -> Claims:
    """What is freed by deletions and changes of address, and the circles among these."""
    result = Claims()
    for link in survey.dead.values():
        lower = survey.name_of(lower_of(link))
        for rule in (existing_claim, running_claim):
            claim = rule(link.kind, lower, link.properties)
            if claim is not None:
                result.deleted[claim] = link.name
    movers = [one for one in survey.wanted.values() if "address" in one.comparison.changes]
    for wanted in movers:
        if wanted.link is None or wanted.new:
            continue
        below = survey.name_of(lower_of(wanted.link))
        claim = running_claim(wanted.link.kind, below, wanted.link.properties)
        if claim is not None:
            result.moving[claim] = wanted.device.name
        name = wanted.device.name  # what stands on it may not have its address either
        result.moving.setdefault(("address", name, wanted.link.properties.get("address")), name)
    if movers:
        cut_circles(survey, result)
    return result


def wish(wanted: Wanted) -> Claim | None:
    """What the device of the file will have to itself while it is up."""
    return running_claim(wanted.device.kind, wanted.device.parent, wanted.device.properties)


def cut_circles(survey: Survey, result: Claims) -> None:
    """Follow each mover to the holder of the address that it wants, until nobody or a circle."""
    done: set[str] = set()
    for start in list(result.moving.values()):
        path: list[str] = []
        name: str | None = start
        while name is not None and name not in done:
            done.add(name)
            path.append(name)
            claim = wish(survey.wanted[name])
            name = result.moving.get(claim) if claim is not None else None
        if name is not None and name in path:
            result.cut.add(name)
