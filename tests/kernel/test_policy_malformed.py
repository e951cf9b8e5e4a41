"""What cannot be parsed takes the default and its own counter: every frame, cut at every byte."""

from __future__ import annotations

import pytest

from tests.policies.frames import (
    AH,
    ARP,
    DESTINATION,
    ESP,
    HOP,
    ICMP,
    ICMPV6,
    IP4,
    IP6,
    NONE,
    ROUTING,
    SCTP,
    TCP,
    UDP,
    ah,
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
from tests.policies.rig import loaded
from xdpctl.policy.evaluate import evaluate
from xdpctl.policy.fields import FIELDS
from xdpctl.policy.frame import Layer, parse
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Condition, Interval, Location, Policy, Rule, Verdict

pytestmark = pytest.mark.kernel

HERE = Location("policy.yaml", 1, 1)
CHAIN = [fragment(), option(ROUTING, 1), ah(4), option(HOP), option(DESTINATION)]
L4 = {TCP: tcp(), UDP: udp(), SCTP: sctp(), ICMP: icmp(), ICMPV6: icmp(128)}

# name → frame, and how many of its bytes each layer needs (0: no such layer, nothing to cut)
WHOLE: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "arp": (ethernet(ARP, arp()), (14, 0, 42)),
    "arp in vlan": (ethernet(ARP, arp(), (0x8100,)), (18, 0, 46)),
    "arp of other addresses": (ethernet(ARP, arp(kind=(1, 0x0800, 8, 4))), (14, 0, 22)),
    "arp of another protocol": (ethernet(ARP, arp(kind=(1, 0x0801, 6, 4))), (14, 0, 22)),
    "other in qinq": (ethernet(0x88CC, bytes(9), (0x88A8, 0x8100)), (22, 0, 0)),
    "three tags": (ethernet(IP4, ip4(TCP, tcp()), (0x8100,) * 3), (22, 0, 0)),
    "ip4 options": (ethernet(IP4, ip4(TCP, tcp(), options=bytes(40))), (14, 74, 94)),
    "ip4 in vlan": (ethernet(IP4, ip4(UDP, udp()), (0x8100,)), (18, 38, 46)),
    "ip4 in qinq": (ethernet(IP4, ip4(UDP, udp()), (0x88A8, 0x8100)), (22, 42, 50)),
    "ip4 first": (ethernet(IP4, ip4(TCP, tcp(), more=True)), (14, 34, 54)),
    "ip4 later": (ethernet(IP4, ip4(TCP, tcp(), offset=3)), (14, 34, 0)),
    "ip4 esp": (ethernet(IP4, ip4(ESP, bytes(8))), (14, 34, 0)),
    "ip4 icmpv6": (ethernet(IP4, ip4(ICMPV6, icmp())), (14, 34, 0)),
    "ip6 chain": (ethernet(IP6, ip6(TCP, tcp(), extensions=CHAIN)), (14, 118, 138)),
    "ip6 first": (ethernet(IP6, ip6(UDP, udp(), extensions=[fragment()])), (14, 62, 70)),
    "ip6 later": (ethernet(IP6, ip6(UDP, udp(), extensions=[fragment(9)])), (14, 62, 0)),
    "ip6 none": (ethernet(IP6, ip6(NONE, extensions=[option(HOP)])), (14, 62, 0)),
    "ip6 esp": (ethernet(IP6, ip6(ESP, bytes(9), extensions=[ah(0)])), (14, 62, 0)),
    "ip6 icmp": (ethernet(IP6, ip6(ICMP, icmp())), (14, 54, 0)),
    "ip6 in qinq": (
        ethernet(IP6, ip6(UDP, udp(), extensions=CHAIN), (0x88A8,) * 2),
        (22, 126, 134),
    ),
}
for number, header in L4.items():
    if number != ICMPV6:
        WHOLE[f"ip4 {number}"] = (ethernet(IP4, ip4(number, header)), (14, 34, 34 + len(header)))
    if number != ICMP:
        WHOLE[f"ip6 {number}"] = (ethernet(IP6, ip6(number, header)), (14, 54, 54 + len(header)))


def everything(key: str, default: Verdict) -> Policy:
    """One rule on all values of a key, with the verdict that is not the default's."""
    values = (Interval(0, (1 << KEYS[key].bits) - 1),)
    condition = Condition(key, values)
    if key == "meta.port":  # of which frames in a test run have one or none
        condition = Condition(key, (Interval(0, 0),), devices=("eth0",))
    rule = Rule("1", (condition,), "drop" if default == "pass" else "pass", HERE)
    return Policy("one", default, (rule,), HERE)


MALFORMED = 2  # the counter: one rule, the default, the malformed


@pytest.mark.parametrize("default", ["drop", "pass"])
@pytest.mark.parametrize("key", FIELDS)
def test_a_frame_cut_anywhere_takes_the_default_of_a_policy_that_looks_deeper(
    key: str, default: Verdict
) -> None:
    policy, layer = everything(key, default), FIELDS[key].layer
    with loaded(policy) as rig:
        for name, (frame, needed) in WHOLE.items():
            for length in range(len(frame) + 1):
                cut = frame[:length]
                decision = evaluate(policy, cut)
                is_malformed = length < max(needed[:layer], default=0)
                assert (decision.index == MALFORMED) == is_malformed, (name, length)
                if is_malformed:
                    assert decision.verdict == default
                    assert decision.counted == (MALFORMED,)
                rig.check(cut)


def chain(count: int) -> bytes:
    """TCP behind so many destination option headers."""
    return ethernet(IP6, ip6(TCP, tcp(), extensions=[option(DESTINATION)] * count))


BROKEN = {
    "ip4 says version 6": ethernet(IP4, ip4(TCP, tcp(), version=6)),
    "ip4 says version 0": ethernet(IP4, ip4(TCP, tcp(), version=0)),
    "ip4 header of 4 words": ethernet(IP4, ip4(TCP, tcp(), words=4)),
    "ip4 header of no words": ethernet(IP4, ip4(TCP, tcp(), words=0)),
    "ip4 header longer than the frame": ethernet(IP4, ip4(TCP, tcp(), words=15)),
    "ip6 says version 4": ethernet(IP6, ip6(TCP, tcp(), version=4)),
    "nine extension headers": chain(9),
    "extension longer than the frame": ethernet(
        IP6, ip6(TCP, tcp(), extensions=[(HOP, bytes([200]) + bytes(6))])
    ),
    "ah longer than the frame": ethernet(
        IP6, ip6(TCP, tcp(), extensions=[(AH, bytes([200]) + bytes(6))])
    ),
    "last extension longer than the frame, nothing behind": ethernet(
        IP6, ip6(NONE, bytes(7), extensions=[(HOP, bytes([2]) + bytes(6))])
    ),
}


@pytest.mark.parametrize("default", ["drop", "pass"])
@pytest.mark.parametrize("key", FIELDS)
def test_a_broken_ip_header_is_malformed_from_layer_2_on(key: str, default: Verdict) -> None:
    policy = everything(key, default)
    with loaded(policy) as rig:
        for name, frame in BROKEN.items():
            assert parse(frame).parsed == Layer.ETHERNET, name
            assert (evaluate(policy, frame).index == MALFORMED) == (FIELDS[key].layer >= 2)
            rig.check(frame)


@pytest.mark.parametrize("count", range(9))
def test_up_to_eight_extension_headers_are_walked(count: int) -> None:
    policy = everything("tcp.dport", "drop")
    with loaded(policy) as rig:
        assert evaluate(policy, chain(count)).index == 0
        rig.check(chain(count))


@pytest.mark.parametrize("units", [100, 255])
@pytest.mark.parametrize("kind", [HOP, AH])
def test_a_long_extension_header_is_jumped_over(kind: int, units: int) -> None:
    extension = ah(units) if kind == AH else option(kind, units)
    frame = ethernet(IP6, ip6(TCP, tcp(), extensions=[extension]))
    policy = everything("tcp.dport", "drop")
    with loaded(policy) as rig:
        assert evaluate(policy, frame).verdict == "pass"
        assert rig.check(frame) >= 4


def test_headers_behind_the_linear_part_of_a_jumbo_frame_are_found() -> None:
    """Sixteen kilobytes of extension headers: only copies reach what is behind them."""
    frame = ethernet(IP6, ip6(TCP, tcp(), extensions=[option(DESTINATION, 255)] * 8))
    policy = everything("tcp.dport", "drop")
    with loaded(policy) as rig:
        assert evaluate(policy, frame).verdict == "pass"
        assert rig.check(frame) >= 2


def test_a_policy_that_looks_at_nothing_is_never_malformed() -> None:
    rule = Rule("1", (), "pass", HERE)
    policy = Policy("all", "drop", (rule, rule), HERE)
    with loaded(policy) as rig:
        for frame in (bytes(14), b"\xff" * 14, WHOLE["ip6 chain"][0][:40]):
            assert evaluate(policy, frame).index == 0
            assert rig.check(frame) >= 4


@pytest.mark.parametrize("version", [IP4, IP6])
def test_a_later_fragment_is_never_read_as_a_header(version: int) -> None:
    """Its payload looks like the header that the rule wants; each bit of the offset counts."""
    rules = tuple(
        Rule(key, (Condition(key, (Interval(0, 65535),)),), "pass", HERE)
        for key in ("tcp.dport", "udp.dport")
    )
    policy = Policy("one", "drop", rules, HERE)
    with loaded(policy) as rig:
        for protocol, body in ((TCP, tcp()), (UDP, udp())):
            for offset in (1 << bit for bit in range(13)):
                later = (
                    ip4(protocol, body, offset=offset)
                    if version == IP4
                    else ip6(protocol, body, extensions=[fragment(offset)])
                )
                assert evaluate(policy, ethernet(version, later)).index == 2
                assert rig.check(ethernet(version, later)) >= 4
