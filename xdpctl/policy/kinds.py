"""The frames that there are, as regions: which headers come together, and how long they are.

A frame that a policy's rules look at has parsed as deep as the policy looks (frame.py says what
that demands), so a rule whose regions meet none of these takes no frame at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Final

from xdpctl.policy.fields import (
    ETHERTYPE_ARP,
    ETHERTYPE_IP4,
    ETHERTYPE_IP6,
    EXTENSIONS,
    ICMP,
    ICMPV6,
    L4_ARP,
    SCTP,
    TCP,
    UDP,
)
from xdpctl.policy.intervals import complement
from xdpctl.policy.regions import (
    FRAGMENT,
    L4,
    PROTOCOL,
    TYPE,
    YES,
    Region,
    Values,
    extension,
    meet,
    top,
)
from xdpctl.record import record
from xdpctl.topology.key_names import FIRST_FRAGMENT, LATER_FRAGMENT, NO_FRAGMENT
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Policy

_LENGTH = "meta.length"
_ETHERNET, _FRAGMENT_HEADER = 14, 44
_NO_L4 = 0
_TAGS: Final = ((0x8100, 0x8100), (0x88A8, 0x88A8))
_ARP_SIZES = (8, 28)

_IP: Final = {
    ETHERTYPE_IP4: (20, {TCP: 20, UDP: 8, SCTP: 12, ICMP: 8}),
    ETHERTYPE_IP6: (40, {TCP: 20, UDP: 8, SCTP: 12, ICMPV6: 8}),
}
"""Least bytes of the network header, and of each L4 header that is parsed."""


Items = tuple[tuple[str, Values], ...]
"""A region, as something that can be cached by."""


@record
class Kinds:
    """Frames as regions, one tuple for each that was asked for; and all values in them."""

    regions: tuple[tuple[Region, ...], ...]
    values: Mapping[str, frozenset[Values]]


ANY: Final[Region] = {}


def kinds(fields: frozenset[str], depth: int, of: tuple[Region, ...] = (ANY,)) -> Kinds:
    """All frames of some regions that parse to this depth, as far as these fields go."""
    wanted = tuple(tuple(region.items()) for region in of)
    return _kinds(fields & STRUCTURE.union(*of), depth, wanted)


def depth(policy: Policy) -> int:
    """The deepest layer of the policy's own keys."""
    keys = [key for rule in policy.rules for one in rule.conditions for key in one.keys]
    return max((KEYS[key].layer for key in keys), default=0)


@cache
def _kinds(fields: frozenset[str], depth: int, of: tuple[Items, ...]) -> Kinds:
    regions = tuple(_distinct(fields, depth, items) for items in of)
    values: dict[str, set[Values]] = {}
    for region in (one for several in regions for one in several):
        for field, some in region.items():
            values.setdefault(field, set()).add(some)
    return Kinds(regions, {field: frozenset(several) for field, several in values.items()})


def _distinct(fields: frozenset[str], depth: int, of: Items) -> tuple[Region, ...]:
    """The frames of one region, those left out that others include."""
    found: dict[Items, Region] = {}
    for whole in _all(depth, of):
        kept = {field: values for field, values in whole.items() if field in fields}
        found.setdefault(tuple(kept.items()), kept)
    regions = list(found.values())
    return tuple(one for one in regions if not any(_is_within(one, each) for each in regions))


@cache
def _all(depth: int, of: Items) -> tuple[Region, ...]:
    """The frames of one region with all that is known of them."""
    tagged = (meet(frame, tagging) for frame, tagging in product(_frames(depth), _taggings()))
    found = (meet(each, dict(of)) for each in tagged if each is not None)
    return tuple(each for each in found if each is not None)


def _is_within(one: Region, other: Region) -> bool:
    """Whether the other is a larger region that has all of this."""
    return one != other and meet(one, other) == one


def _frames(depth: int) -> Iterator[Region]:
    """All frames but for their VLAN tags."""

    def of(length: int, **more: Values) -> Region:
        return {_LENGTH: ((length if depth else 0, top(_LENGTH)),)} | more

    def one(number: int) -> Values:
        return ((number, number),)

    known = [(number, number) for number in sorted((ETHERTYPE_ARP, *_IP))]
    others = tuple(complement(known, top(TYPE)))
    yield of(_ETHERNET) | {TYPE: others, L4: one(_NO_L4)}
    for l4, size in zip((_NO_L4, L4_ARP), _ARP_SIZES, strict=True):
        length = _ETHERNET + (size if depth > 2 else 0)
        yield of(length) | {TYPE: one(ETHERTYPE_ARP), L4: one(l4)}
    for network, (size, sizes) in _IP.items():
        length = _ETHERNET + (size if depth > 1 else 0)
        known = [(number, number) for number in sorted(sizes)]
        for fragment in _fragments(network):
            is_later = fragment[FRAGMENT] == one(LATER_FRAGMENT)
            bare = of(length) | {TYPE: one(network), L4: one(_NO_L4)} | fragment
            if is_later:
                yield bare
                continue
            walked = {number for number in EXTENSIONS if network == ETHERTYPE_IP6}
            taken = [(number, number) for number in sorted({*sizes, *walked})]
            yield bare | {PROTOCOL: tuple(complement(taken, top(PROTOCOL)))}
            for l4, header in sizes.items():
                whole = length + (header if depth > 2 else 0)
                yield bare | of(whole) | {L4: one(l4), PROTOCOL: one(l4)}


def _fragments(network: int) -> Iterator[Region]:
    """In one piece, the first, a later one; an IPv6 fragment has a header that says so."""
    numbers = (NO_FRAGMENT, FIRST_FRAGMENT, LATER_FRAGMENT)
    for number in numbers:
        has_header = network == ETHERTYPE_IP6 and number != NO_FRAGMENT
        header = {extension(_FRAGMENT_HEADER): YES} if has_header else {}
        yield {FRAGMENT: ((number, number),)} | header


def _taggings() -> Iterator[Region]:
    """No VLAN tag, one, two; a third one is no tag any more but the frame's type."""
    types: Values = tuple(complement(list(_TAGS), top(TYPE)))
    for count in range(3):
        outer, inner = count > 0, count > 1
        tags = {
            "vlan.id": _tag("vlan.id", there=outer),
            "vlan.pcp": _tag("vlan.pcp", there=outer),
            "vlan.inner_id": _tag("vlan.inner_id", there=inner),
        }
        yield tags if inner else tags | {TYPE: types}


def _tag(field: str, *, there: bool) -> Values:
    """Any value of a tag's field, or that there is none."""
    none = top(field)
    return ((0, none - 1),) if there else ((none, none),)


STRUCTURE: Final = frozenset(
    field for regions in (_frames(3), _taggings()) for region in regions for field in region
)
"""The fields that say something of each other; the rest are free."""
