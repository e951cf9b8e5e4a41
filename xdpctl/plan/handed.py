"""Devices that go from one pipeline to another in the same plan: nothing is taken off them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.record import record


@record
class Handed:
    """What other pipelines of the plan take over at devices, by name; they replace what they find.

    xdp      the program at the XDP hook: a root's, or that of a device with deliver: redirect
    ingress  the filter at tc ingress: a gate, a relay or a flood
    egress   that at tc egress: the gate of a device with deliver: redirect
    """

    xdp: frozenset[str] = frozenset()
    ingress: frozenset[str] = frozenset()
    egress: frozenset[str] = frozenset()


def handed(root: str, wanted: Collection[Pipeline], vanishing: AbstractSet[str]) -> Handed:
    """What all but the root's own pipeline will have, of devices that are the same afterwards."""
    others = [each for each in wanted if each.root != root]
    gated = (seat.device for each in others for seat in each.delivered if each.is_gated(seat))
    return Handed(
        frozenset(name for each in others for name in _attached(each)) - vanishing,
        frozenset(name for each in others for name in _at_ingress(each)) - vanishing,
        frozenset(gated) - vanishing,
    )


def _attached(wanted: Pipeline) -> Iterable[str]:
    return (*wanted.hooks, *(seat.device for seat in wanted.delivered))


def _at_ingress(wanted: Pipeline) -> Iterable[str]:
    if wanted.delivered:
        yield wanted.root
    for seat in wanted.seats:
        if seat.delivered or wanted.is_gated(seat):
            yield seat.device
