"""`ip6.nexthdr` looks at every header of the chain; `vlan.*` tells no tag from any other."""

from __future__ import annotations

import pytest

from tests.policies.frames import (
    AH,
    DESTINATION,
    ESP,
    FRAGMENT,
    HOP,
    IP4,
    IP6,
    NONE,
    ROUTING,
    TCP,
    UDP,
    ah,
    ethernet,
    fragment,
    ip4,
    ip6,
    option,
    tcp,
)  # fmt: skip
from tests.policies.rig import loaded
from xdpctl.policy.evaluate import evaluate
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Location, Policy, Rule

pytestmark = pytest.mark.kernel

HERE = Location("policy.yaml", 1, 1)
BODIES = {
    HOP: option(HOP), ROUTING: option(ROUTING, 1), FRAGMENT: fragment(), AH: ah(),
    DESTINATION: option(DESTINATION),
}  # fmt: skip
CHAINS: dict[tuple[int, ...], bytes] = {
    (TCP,): ethernet(IP6, ip6(TCP, tcp())),
    (NONE,): ethernet(IP6, ip6(NONE)),
    **{
        (number, TCP): ethernet(IP6, ip6(TCP, tcp(), extensions=[body]))
        for number, body in BODIES.items()
    },
    (*BODIES, TCP): ethernet(IP6, ip6(TCP, tcp(), extensions=[*BODIES.values()])),
    (*reversed(BODIES), ESP): ethernet(IP6, ip6(ESP, extensions=[*BODIES.values()][::-1])),
    (DESTINATION, ROUTING, DESTINATION, UDP): ethernet(
        IP6, ip6(UDP, bytes(8), extensions=[BODIES[n] for n in (DESTINATION, ROUTING, DESTINATION)])
    ),
    (HOP, FRAGMENT, TCP): ethernet(
        IP6, ip6(TCP, b"", extensions=[BODIES[HOP], fragment(4)])
    ),
    (FRAGMENT, DESTINATION): ethernet(
        IP6, ip6(DESTINATION, bytes(24), extensions=[fragment(4)])
    ),
}  # fmt: skip
WANTED = [
    ["hop"], ["route"], ["frag"], ["ah"], ["dst"], ["tcp"], ["59"], ["esp"], ["0-255"],
    ["frag", "esp"], ["hop", "route", "frag", "ah", "dst"], ["1-42"], ["45-255"],
]  # fmt: skip


def policy(key: str, values: list[str], *, negated: bool) -> Policy:
    spans = [span for value in values for span in KEYS[key].parse(value)]
    conditions = (KEYS[key].condition(spans, negated=negated),)
    return Policy("one", "drop", (Rule("1", conditions, "pass", HERE),), HERE)


@pytest.mark.parametrize("negated", [False, True], ids=["plain", "negated"])
@pytest.mark.parametrize("values", WANTED, ids=" ".join)
def test_any_header_of_the_chain_counts(values: list[str], negated: bool) -> None:
    one = policy("ip6.nexthdr", values, negated=negated)
    (condition,) = one.rules[0].conditions
    with loaded(one) as rig:
        for chain, frame in CHAINS.items():
            holds = any(number in condition for number in chain)
            assert (evaluate(one, frame).verdict == "pass") == (holds != negated), chain
            assert rig.check(frame) >= 4


@pytest.mark.parametrize("key", ["vlan.id", "vlan.pcp", "vlan.inner_id"])
@pytest.mark.parametrize(
    ("values", "negated", "holds"),
    [
        (["none"], False, (True, False)),
        (["none"], True, (False, True)),
        (["1"], True, (False, True)),
        (["none", "1"], True, (False, True)),
        (["none", "0-7"], False, (True, True)),
        (["0-7"], False, (False, True)),
    ],
)
def test_a_missing_tag_is_none_and_nothing_else(
    key: str, values: list[str], negated: bool, holds: tuple[bool, bool]
) -> None:
    one = policy(key, values, negated=negated)
    tags = (0x88A8, 0x8100)
    body = ip4(TCP, tcp())
    control = (3 << 13 | 5, 2 << 13 | 6)
    without = [ethernet(IP4, body)]
    if key == "vlan.inner_id":
        without.append(ethernet(IP4, body, tags[:1], control=control))
    within = [ethernet(IP4, body, tags, control=control)]
    if key != "vlan.inner_id":
        within.append(ethernet(IP4, body, tags[:1], control=control))
    with loaded(one) as rig:
        for frames, wanted in zip((without, within), holds, strict=True):
            for frame in frames:
                assert (evaluate(one, frame).verdict == "pass") == wanted
                assert rig.check(frame) >= 4
