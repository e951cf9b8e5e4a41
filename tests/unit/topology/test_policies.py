"""Policies as they come out: intervals, negation, names, places."""

import pytest

from xdpctl.topology.keys import KEYS, merged
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Condition, Interval, Masked, Policy

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
        ("vlan.id: 7", [(7, 7)], False),
        ("vlan.id: none", [(4096, 4096)], False),
        ('vlan.id: "!none"', [(4096, 4096)], True),
        ("vlan.inner_id: [0-9, none]", [(0, 9), (4096, 4096)], False),
        ("vlan.pcp: [7, none]", [(7, 8)], False),
        ('ether.saddr: "02:00:00:00:00:0A"', [(0x02000000000A, 0x02000000000A)], False),
        ("ether.saddr: 02-00-00-00-00-0a", [(0x02000000000A, 0x02000000000A)], False),
        ("ether.saddr: 02:aa:bb:00:00:00/24", [(0x02AABB000000, 0x02AABBFFFFFF)], False),
        ("ether.saddr: 02:aa:00:00:00:00/ff:ff:00:00:00:00",
         [(0x02AA00000000, 0x02AAFFFFFFFF)], False),
        ("ether.saddr: 00:00:00:00:00:00/0", [(0, 2**48 - 1)], False),
        ("ether.saddr: 02:00:00:00:00:01-02:00:00:00:00:09",
         [(0x020000000001, 0x020000000009)], False),
        ("ether.daddr: broadcast", [(2**48 - 1, 2**48 - 1)], False),
        ("ip4.dscp: [ef, cs0]", [(0, 0), (46, 46)], False),
        ("ip6.dscp: af11-af13", [(10, 14)], False),
        ("ip4.ttl: 0-1", [(0, 1)], False),
        ("ip4.frag: any", [(2, 3)], False),
        ("ip6.frag: [none, first]", [(1, 2)], False),
        ("ip6.nexthdr: [frag, tcp]", [(6, 6), (44, 44)], False),
        ("tcp.flags: syn", [(2, 2)], False),
        ('tcp.flags: "syn,ack"', [(18, 18)], False),
        ('tcp.flags: ["syn", "ack, syn", none]', [(0, 0), (2, 2), (18, 18)], False),
        ("tcp.flags: 0x12", [(18, 18)], False),
        ("arp.op: [request, reply]", [(1, 2)], False),
        ("arp.spa: 10.0.0.0/8", [(0x0A000000, 0x0AFFFFFF)], False),
        ("meta.dport: [https, 80]", [(80, 80), (443, 443)], False),
        ("meta.length: 1515-9000", [(1515, 9000)], False),
        ("meta.probability: 50", [(0, 2**31 - 1)], False),
        ("meta.probability: 12.5%", [(0, 2**29 - 1)], False),
        ("meta.probability: 100", [(0, 2**32 - 1)], False),
        ("meta.probability: 100.0 %", [(0, 2**32 - 1)], False),
        ("meta.probability: 0", [], False),
        ("meta.probability: 0.00000001%", [(0, 0)], False),
        ("meta.probability: 99.99999999999", [(0, 2**32 - 2)], False),
        ('meta.flow_probability: "!25%"', [(0, 2**30 - 1)], True),
    ],
)  # fmt: skip
def test_values(match: str, intervals: list[tuple[int, int]], negated: bool) -> None:
    spans = tuple(Interval(*one) for one in intervals)
    assert condition(match) == Condition(match.split(":", maxsplit=1)[0], spans, negated)


@pytest.mark.parametrize(
    ("match", "masks", "intervals"),
    [
        ("tcp.flags: all(syn)", [(2, 2)], []),
        ('tcp.flags: "all(ack,syn)"', [(18, 18)], []),
        ('tcp.flags: "any(syn, fin)"', [(1, 1), (2, 2)], []),
        ('tcp.flags: ["all(syn)", "any(syn,rst)", "ack"]', [(2, 2), (4, 4)], [(16, 16)]),
        ("ether.daddr: multicast", [(1 << 40, 1 << 40)], []),
        ('ether.saddr: "02:00:00:00:00:01/02:00:00:00:00:ff"',
         [(0x020000000001, 0x0200000000FF)], []),
    ],
)  # fmt: skip
def test_masks(match: str, masks: list[tuple[int, int]], intervals: list[tuple[int, int]]) -> None:
    key = match.split(":", maxsplit=1)[0]
    spans = tuple(Interval(*one) for one in intervals)
    assert condition(match) == Condition(key, spans, masks=tuple(Masked(*one) for one in masks))


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
    layers = {"ether": 1, "vlan": 1, "ip4": 2, "ip6": 2}
    layers |= {
        "meta.l3_proto": 2,
        "meta.l4_proto": 2,
        "meta.length": 0,
        "meta.probability": 0,
        "meta.port": 0,
    }
    for key in KEYS.values():
        family = key.name.split(".")[0]
        assert key.layer == layers.get(key.name, layers.get(family, 3))


def test_names_fit_their_field() -> None:
    for key in KEYS.values():
        for name in key.form.names:
            for span in key.parse(name):
                top = span.high if isinstance(span, Interval) else span.mask
                assert top < (1 << key.bits) + (name == "none")


def test_merged() -> None:
    spans = [Interval(5, 9), Interval(1, 3), Interval(4, 4), Interval(20, 30), Interval(22, 25)]
    assert merged(spans) == (Interval(1, 9), Interval(20, 30))


def test_a_name_may_be_a_number_that_no_other_rule_has() -> None:
    found = policy('    rules: [{name: "443", action: pass}, {name: "2", action: pass}]\n')
    assert [rule.name for rule in found.rules] == ["443", "2"]
