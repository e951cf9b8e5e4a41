"""Shares of frames and of flows: how many of them a condition holds on, and on which."""

from __future__ import annotations

import statistics

import pytest

from tests.policies.frames import (
    ARP,
    ICMP,
    IP4,
    IP6,
    SCTP,
    TCP,
    UDP,
    arp,
    ethernet,
    fragment,
    icmp,
    ip4,
    ip6,
    option,
    sctp,
    tcp,
    udp,
)  # fmt: skip
from tests.policies.rig import Way, loaded
from xdpctl.policy.evaluate import evaluate, flow_hash
from xdpctl.policy.frame import parse
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Condition, Interval, Location, Policy, Rule

pytestmark = pytest.mark.kernel

HERE = Location("policy.yaml", 1, 1)
FRAME = ethernet(IP4, ip4(TCP, tcp()))
MANY = 4000


def passing(*conditions: Condition) -> Policy:
    """Pass where all conditions hold, drop elsewhere."""
    return Policy("one", "drop", (Rule("1", conditions, "pass", HERE),), HERE)


def share(key: str, percent: str, *, negated: bool = False) -> Condition:
    return KEYS[key].condition(KEYS[key].parse(percent), negated=negated)


def flows(count: int) -> list[bytes]:
    """Frames of so many flows that differ in their lowest bits only."""
    return [
        ethernet(IP4, ip4(UDP, udp(1024 + number % 16, 53), saddr=0x0A000000 + number // 16))
        if number % 2
        else ethernet(IP6, ip6(TCP, tcp(1024 + number % 16, 443), saddr=number // 16))
        for number in range(count)
    ]


@pytest.mark.parametrize("key", ["meta.probability", "meta.flow_probability"])
@pytest.mark.parametrize(("percent", "holds"), [("0", False), ("100", True), ("0.0%", False)])
@pytest.mark.parametrize("negated", [False, True])
def test_none_and_all_are_no_chance(key: str, percent: str, holds: bool, negated: bool) -> None:
    policy = passing(share(key, percent, negated=negated))
    with loaded(policy) as rig:
        for _ in range(50):
            assert (evaluate(policy, FRAME).verdict == "pass") == (holds != negated)
            assert rig.check(FRAME) >= 4


@pytest.mark.parametrize("percent", [1, 25, 50, 90])
@pytest.mark.parametrize("negated", [False, True])
def test_so_many_frames_by_chance(percent: int, negated: bool) -> None:
    """Within five standard deviations: this fails once in two million runs."""
    policy = passing(share("meta.probability", str(percent), negated=negated))
    chance = (100 - percent if negated else percent) / 100
    tolerance = 5 * (MANY * chance * (1 - chance)) ** 0.5
    with loaded(policy) as rig:
        for way in (Way.XDP, Way.TC):
            found = [rig.decide(way, FRAME) for _ in range(MANY)]
            passed = sum(one is not None and one.verdict == "pass" for one in found)
            assert abs(passed - MANY * chance) < tolerance
    passed = sum(evaluate(policy, FRAME).verdict == "pass" for _ in range(MANY))
    assert abs(passed - MANY * chance) < tolerance


@pytest.mark.parametrize(("drawn", "verdict"), [(0, "pass"), (2**30 - 1, "pass"), (2**30, "drop")])
def test_the_evaluator_s_dice_decide(drawn: int, verdict: str) -> None:
    policy = passing(share("meta.probability", "25"))
    assert evaluate(policy, FRAME, lambda: drawn).verdict == verdict


def test_each_rule_draws_anew() -> None:
    """Of two halves a quarter is left: one number for both would leave a half or nothing."""
    half = share("meta.probability", "50")
    with loaded(passing(half, half)) as rig:
        found = [rig.decide(Way.XDP, FRAME) for _ in range(MANY)]
    passed = sum(one is not None and one.verdict == "pass" for one in found)
    assert abs(passed - MANY / 4) < 5 * (MANY * 3 / 16) ** 0.5


@pytest.mark.parametrize("percent", [5, 50, 80])
def test_so_many_flows_and_always_the_same(percent: int) -> None:
    policy = passing(share("meta.flow_probability", str(percent)))
    frames = flows(1000)
    with loaded(policy) as rig:
        for frame in frames:
            assert rig.check(frame) >= 4
    passed = sum(evaluate(policy, frame).verdict == "pass" for frame in frames)
    chance = percent / 100
    assert abs(passed - 1000 * chance) < 5 * (1000 * chance * (1 - chance)) ** 0.5


def test_hashes_of_neighbouring_flows_lie_anywhere() -> None:
    hashes = [flow_hash(parse(frame)) for frame in flows(1000)]
    assert len(set(hashes)) > 990
    for bit in range(32):
        assert 350 < sum(one >> bit & 1 for one in hashes) < 650
    assert abs(statistics.mean(hashes) / 2**32 - 0.5) < 0.05


SHAPES = {
    "tcp": FRAME,
    "tcp with options": ethernet(IP4, ip4(TCP, tcp(), options=bytes(8))),
    "udp over ip6": ethernet(IP6, ip6(UDP, udp())),
    "behind extension headers": ethernet(IP6, ip6(UDP, udp(), extensions=[option(0)])),
    "sctp": ethernet(IP4, ip4(SCTP, sctp())),
    "icmp": ethernet(IP4, ip4(ICMP, icmp())),
    "any protocol": ethernet(IP6, ip6(250, bytes(4))),
    "first fragment": ethernet(IP4, ip4(TCP, tcp(), more=True)),
    "later fragment": ethernet(IP6, ip6(UDP, b"", extensions=[fragment(3)])),
}


@pytest.mark.parametrize("frame", SHAPES.values(), ids=SHAPES)
def test_the_kernel_s_hash_is_the_evaluator_s(frame: bytes) -> None:
    """To the bit: the condition holds on the one number that is the frame's, on no neighbour."""
    found = flow_hash(parse(frame))
    for number, verdict in ((found, "pass"), (found ^ 1, "drop"), (found ^ 1 << 31, "drop")):
        policy = passing(Condition("meta.flow_probability", (Interval(number, number),)))
        with loaded(policy) as rig:
            assert evaluate(policy, frame).verdict == verdict
            assert rig.check(frame) >= 4


def test_all_fragments_of_a_packet_and_all_ways_of_a_flow_have_one_fate() -> None:
    pieces = [
        ethernet(IP4, ip4(UDP, body, offset=offset, more=more))
        for body, offset, more in ((udp(), 0, True), (bytes(16), 1, True), (bytes(3), 3, False))
    ]
    assert len({flow_hash(parse(piece)) for piece in pieces}) == 1
    same = [FRAME, SHAPES["tcp with options"], ethernet(IP4, ip4(TCP, tcp()), (0x8100,))]
    assert len({flow_hash(parse(frame)) for frame in same}) == 1
    other = ethernet(IP4, ip4(TCP, tcp(443, 51000), saddr="198.51.100.1", daddr="192.0.2.1"))
    assert flow_hash(parse(other)) != flow_hash(parse(FRAME))


@pytest.mark.parametrize("negated", [False, True])
def test_what_is_not_ip_has_no_flow(negated: bool) -> None:
    policy = passing(share("meta.flow_probability", "50", negated=negated))
    with loaded(policy) as rig:
        for frame in (ethernet(ARP, arp()), ethernet(0x88CC, bytes(46))):
            assert evaluate(policy, frame).index == 1
            assert rig.check(frame) >= 4
