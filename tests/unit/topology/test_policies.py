"""Policies as they come out: intervals, negation, names, places."""

import pytest

from xdpctl.topology.keys import KEYS, merged
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Condition, Interval, Policy

V6 = 0x20010DB8 << 96


def policy(text: str) -> Policy:
    source = "version: 1\nname: t\ndevices: {}\npolicies:\n  p:\n" + text
    return load_texts({"t": source}).policies["p"]


def condition(match: str) -> Condition:
    return policy(f"    rules: [{{match: {{{match}}}, action: drop}}]\n").rules[0].conditions[0]


@pytest.mark.parametrize(
    ("match", "intervals", "negated"),
    [
        ("tcp.dport: 80", [(80, 80)], False),
        ('tcp.dport: "80"', [(80, 80)], False),
        ("tcp.dport: 0x50", [(80, 80)], False),
        ('tcp.dport: "0x50"', [(80, 80)], False),
        ("tcp.dport: [443, 80, 8000-8100]", [(80, 80), (443, 443), (8000, 8100)], False),
        ("tcp.dport: [1-10, 5-20, 21, 23]", [(1, 21), (23, 23)], False),
        ("tcp.dport: 0-65535", [(0, 65535)], False),
        ("tcp.dport: [https, ms-wbt-server]", [(443, 443), (3389, 3389)], False),
        ("tcp.dport: ftp-data-telnet", [(20, 23)], False),
        ('udp.sport: "!53"', [(53, 53)], True),
        ('udp.sport: "! 53 - 60"', [(53, 60)], True),
        ('udp.sport: ["!53", "!67-68"]', [(53, 53), (67, 68)], True),
        ("ip4.saddr: 10.0.0.1", [(0x0A000001, 0x0A000001)], False),
        ("ip4.saddr: 10.0.0.0/8", [(0x0A000000, 0x0AFFFFFF)], False),
        ("ip4.saddr: 0.0.0.0/0", [(0, 2**32 - 1)], False),
        ("ip4.saddr: [10.0.0.0/9, 10.128.0.0/9]", [(0x0A000000, 0x0AFFFFFF)], False),
        ("ip4.saddr: 10.0.0.1-10.0.0.9", [(0x0A000001, 0x0A000009)], False),
        ('ip4.daddr: "!10.0.0.0/8"', [(0x0A000000, 0x0AFFFFFF)], True),
        ('ip6.daddr: "2001:db8::/32"', [(V6, V6 + 2**96 - 1)], False),
        ('ip6.daddr: "2001:db8::1"', [(V6 + 1, V6 + 1)], False),
        ('ip6.daddr: "::/0"', [(0, 2**128 - 1)], False),
        ("ether.type: [arp, ip6]", [(0x0806, 0x0806), (0x86DD, 0x86DD)], False),
        ("ether.type: 0x88cc", [(0x88CC, 0x88CC)], False),
        ("meta.l3_proto: ip4", [(0x0800, 0x0800)], False),
        ("meta.l4_proto: [tcp, udp, 132]", [(6, 6), (17, 17), (132, 132)], False),
        ("ip4.proto: icmp", [(1, 1)], False),
        ("icmp.type: echo-request", [(8, 8)], False),
        ("icmp.type: [echo-reply, echo-request, 13-14]", [(0, 0), (8, 8), (13, 14)], False),
        ("icmp.code: port-unreachable", [(3, 3)], False),
        ("icmpv6.type: nd-neighbor-solicit", [(135, 135)], False),
        ("icmpv6.code: reject-route", [(6, 6)], False),
    ],
)  # fmt: skip
def test_values(match: str, intervals: list[tuple[int, int]], negated: bool) -> None:
    spans = tuple(Interval(*one) for one in intervals)
    assert condition(match) == Condition(match.split(":", maxsplit=1)[0], spans, negated)


def test_rules_keep_order_names_and_places() -> None:
    found = policy(
        "    default: drop\n    rules:\n"
        "      - {name: one, match: {tcp.dport: 80, ip4.saddr: 10.0.0.1}, action: pass}\n"
        "      - {action: count}\n"
        '      - name: "3"\n        action: drop\n'
    )
    assert found.default == "drop"
    assert [(rule.name, rule.action) for rule in found.rules] == [
        ("one", "pass"), ("2", "count"), ("3", "drop"),
    ]  # fmt: skip
    assert [one.key for one in found.rules[0].conditions] == ["tcp.dport", "ip4.saddr"]
    assert [str(rule.location) for rule in found.rules] == ["t:8:9", "t:9:9", "t:10:9"]
    assert str(found.location) == "t:5:3"


def test_default_is_pass() -> None:
    assert policy("    {}\n").default == "pass"
    assert policy("    rules:\n").rules == ()


def test_layers_are_those_of_the_headers() -> None:
    layers = {"ether": 1, "meta": 2, "ip4": 2, "ip6": 2}
    for key in KEYS.values():
        assert key.layer == layers.get(key.name.split(".")[0], 3)


def test_names_fit_their_field() -> None:
    for key in KEYS.values():
        for name, number in key.names.items():
            assert key.parse(name) == Interval(number, number)
            assert number < 1 << key.bits


def test_merged() -> None:
    spans = [Interval(5, 9), Interval(1, 3), Interval(4, 4), Interval(20, 30), Interval(22, 25)]
    assert merged(spans) == (Interval(1, 9), Interval(20, 30))


def test_a_name_may_be_a_number_that_no_other_rule_has() -> None:
    found = policy('    rules: [{name: "443", action: pass}, {name: "2", action: pass}]\n')
    assert [rule.name for rule in found.rules] == ["443", "2"]
