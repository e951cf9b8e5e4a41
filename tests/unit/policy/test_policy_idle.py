"""Rules that never match: files in, exact sentences out, and the rules that deserve none."""

from __future__ import annotations

import pytest

from tests.unit.policy.warned import of_rules, with_rules
from xdpctl.policy import idle
from xdpctl.policy.advice import warnings


def never(rule: str, why: str) -> str:
    return f"rule {rule} of policy p never matches: {why}"


def taken(rule: str, by: str) -> str:
    return never(rule, f"rule {by} before it takes all of its frames")


def together(rule: str, by: str) -> str:
    return never(rule, f"rules {by} before it together take all of its frames")


DEAD = {
    "the same twice": (
        """match: {tcp.dport: 80}, action: pass
           match: {tcp.dport: 80}, action: drop""",
        [taken("2", "1")],
    ),
    "by name": (
        """name: web, match: {tcp.dport: [80, 443]}, action: pass
           name: tls, match: {tcp.dport: https}, action: drop""",
        [taken("2 'tls'", "1 'web'")],
    ),
    "another key for the same field": (
        """match: {meta.dport: 53}, action: pass
           match: {tcp.dport: 53}, action: pass
           match: {udp.dport: 53}, action: pass""",
        [taken("2", "1"), taken("3", "1")],
    ),
    "within a range": (
        """match: {udp.sport: 1000-2000}, action: drop
           match: {udp.sport: [1000, 1500-2000]}, action: pass""",
        [taken("2", "1")],
    ),
    "within long lists": (
        """match: {tcp.dport: [0, 2, 4, 6, 8, 10-12, 14, 65535]}, action: drop
           match: {tcp.dport: [1, 3, 5, 7, 9, 13, 15-65534]}, action: drop
           match: {tcp.dport: [0, 8, 10, 12, 65535]}, action: pass
           match: {tcp.sport: 80}, action: pass""",
        [taken("3", "1"), together("4", "1 and 2")],
    ),
    "within a prefix": (
        """match: {ip6.saddr: "2001:db8::/32"}, action: drop
           match: {ip6.saddr: "2001:db8:7::/48", tcp.dport: 22}, action: pass""",
        [taken("2", "1")],
    ),
    "two halves": (
        """name: low, match: {ip4.saddr: 0.0.0.0/1}, action: pass
           name: high, match: {ip4.saddr: 128.0.0.0/1}, action: drop
           name: all, match: {ip4.daddr: 192.0.2.1}, action: drop""",
        [together("3 'all'", "1 'low' and 2 'high'")],
    ),
    "a value and all others": (
        """match: {tcp.dport: 80}, action: pass
           match: {tcp.dport: "!80"}, action: drop
           match: {tcp.flags: syn}, action: drop""",
        [together("3", "1 and 2")],
    ),
    "overlapping squares": (
        """match: {tcp.sport: 0-100, tcp.dport: 0-60}, action: pass
           match: {tcp.sport: 0-60, tcp.dport: 50-100}, action: pass
           match: {tcp.sport: 50-100, tcp.dport: 61-100}, action: pass
           match: {tcp.sport: 10-90, tcp.dport: 10-90}, action: drop""",
        [together("4", "1, 2 and 3")],
    ),
    "only those that are needed are named": (
        """match: {tcp.dport: 0-9}, action: pass
           match: {tcp.dport: 5-20}, action: pass
           match: {tcp.dport: 21-30}, action: pass
           match: {tcp.dport: 7-25}, action: drop""",
        [together("4", "2 and 3")],
    ),
    "many together": (
        "\n".join(f"match: {{ip4.dscp: {n * 10}-{n * 10 + 9}}}, action: pass" for n in range(6))
        + "\nmatch: {ip4.dscp: 3-57}, action: drop",
        [together("7", "1, 2, 3, 4 and 2 more")],
    ),
    "everything": (
        """action: pass
           match: {tcp.dport: 80}, action: drop
           action: drop""",
        [taken("2", "1"), taken("3", "1")],
    ),
    "limit decides": (
        """match: {icmp.type: echo-request}, action: {limit: 10/second}
           match: {icmp.type: echo-request}, action: drop""",
        [taken("2", "1")],
    ),
    "tx decides": (
        """match: {udp.dport: 7}, action: tx
           match: {udp.dport: 7}, action: pass""",
        [taken("2", "1")],
    ),
    "userspace decides": (
        """match: {udp.dport: 7}, action: {userspace: sock}
           match: {udp.dport: 7}, action: pass""",
        [taken("2", "1")],
    ),
    "a count that never counts": (
        """match: {udp.dport: 7}, action: drop
           match: {udp.dport: 7}, action: count""",
        [taken("2", "1")],
    ),
    "the same set": (
        """match: {ip4.saddr: "@a"}, action: drop
           match: {ip4.saddr: "@a", tcp.dport: 80}, action: pass""",
        [taken("2", "1")],
    ),
    "a set of ports, by two keys": (
        """match: {meta.dport: "@c"}, action: drop
           match: {tcp.dport: "@c"}, action: pass""",
        [taken("2", "1")],
    ),
    "in a set and not in it": (
        """match: {ip4.saddr: "@a"}, action: drop
           match: {ip4.saddr: "!@a"}, action: pass
           match: {ip4.ttl: 1}, action: pass""",
        [together("3", "1 and 2")],
    ),
    "a composite set": (
        """match: {set: "@d"}, action: drop
           match: {set: "@d", ip4.ttl: 1}, action: pass""",
        [taken("2", "1")],
    ),
    "broadcast is multicast": (
        """match: {ether.daddr: multicast}, action: drop
           match: {ether.daddr: broadcast, ether.type: arp}, action: pass""",
        [taken("2", "1")],
    ),
    "all tags and none": (
        """match: {vlan.id: [none, 0-4095]}, action: pass
           match: {ether.type: arp}, action: drop""",
        [taken("2", "1")],
    ),
    "a second tag is a first one": (
        """match: {vlan.id: "!none"}, action: drop
           match: {vlan.inner_id: 7}, action: pass""",
        [taken("2", "1")],
    ),
    "arp": (
        """match: {ether.type: arp}, action: pass
           match: {arp.op: request, arp.tpa: 10.0.0.0/8}, action: drop""",
        [taken("2", "1")],
    ),
    "a protocol of IPv4": (
        """match: {meta.l3_proto: ip4}, action: pass
           match: {icmp.type: echo-request}, action: drop
           match: {ip4.frag: any}, action: drop""",
        [taken("2", "1"), taken("3", "1")],
    ),
    "TCP has no other way": (
        """match: {meta.l3_proto: [ip4, ip6]}, action: drop
           match: {tcp.dport: 80}, action: pass""",
        [taken("2", "1")],
    ),
    "flags": (
        """match: {tcp.flags: "any(syn,ack)"}, action: pass
           match: {tcp.flags: "all(syn,fin)"}, action: drop
           match: {tcp.flags: "syn,ack"}, action: drop""",
        [taken("2", "1"), taken("3", "1")],
    ),
    "fragments": (
        """match: {ip6.nexthdr: frag}, action: drop
           match: {ip6.frag: later}, action: pass""",
        [taken("2", "1")],
    ),
    "the last header of a chain": (
        """match: {ip6.nexthdr: [route, tcp]}, action: drop
           match: {ip6.saddr: "fe80::/10", tcp.dport: 80}, action: pass""",
        [taken("2", "1")],
    ),
    "flows of one hash": (
        """match: {meta.flow_probability: 50%}, action: pass
           match: {meta.flow_probability: 30%, tcp.dport: 80}, action: drop""",
        [taken("2", "1")],
    ),
    "a chance that is none": (
        """match: {meta.probability: 100%, udp.dport: 7}, action: pass
           match: {udp.dport: 7, meta.probability: 10%}, action: drop""",
        [taken("2", "1")],
    ),
    "any port": (
        """match: {meta.port: "!none"}, action: pass
           match: {meta.port: eth0, tcp.dport: 80}, action: drop""",
        [taken("2", "1")],
    ),
    "short frames": (
        """match: {meta.length: 0-100}, action: drop
           match: {meta.length: 60, udp.dport: 7}, action: pass""",
        [taken("2", "1")],
    ),
    "what never matches takes nothing": (
        """match: {ip4.frag: later, tcp.dport: 80}, action: drop
           match: {tcp.dport: 80}, action: pass""",
        [never("1", "no frame is as ip4.frag and tcp.dport want it")],
    ),
}

AT_ODDS = {
    "a later fragment has no ports": ("ip6.frag: later, udp.dport: 53", "ip6.frag and udp.dport"),
    "no second tag without a first": (
        "vlan.id: none, vlan.inner_id: 7",
        "vlan.id and vlan.inner_id",
    ),
    "no priority without a tag": ('vlan.pcp: none, vlan.id: "!7"', "vlan.pcp and vlan.id"),
    "IPv4 in ARP": ("ether.type: arp, ip4.saddr: 10.0.0.1", "ether.type and ip4.saddr"),
    "TCP is not UDP": (
        "ip4.saddr: 10.0.0.1, meta.l4_proto: udp, tcp.dport: 80",
        "meta.l4_proto and tcp.dport",
    ),
    "one port, two keys": ("tcp.sport: 80, meta.sport: 443", "tcp.sport and meta.sport"),
    "a port that it is not": ('meta.dport: 80, udp.dport: "!80"', "meta.dport and udp.dport"),
    "ARP is not IPv6": ("meta.l3_proto: arp, ip6.hoplimit: 1", "meta.l3_proto and ip6.hoplimit"),
    "no TCP in the chain": (
        'ip6.nexthdr: "!tcp", ip6.dscp: 0, tcp.dport: 80',
        "ip6.nexthdr and tcp.dport",
    ),
    "too short for its headers": ("meta.length: 0-53, tcp.dport: 80", "meta.length and tcp.dport"),
    "a fragment without a header": (
        'ip6.frag: first, ip6.nexthdr: "!frag"',
        "ip6.frag and ip6.nexthdr",
    ),
    "a tag's type without the tags": (
        "ether.type: 0x8100, vlan.inner_id: none",
        "ether.type and vlan.inner_id",
    ),
    "two sets at once": (
        "meta.l4_proto: [tcp, igmp], ip4.proto: [udp, igmp], meta.dport: 5",
        "meta.l4_proto, ip4.proto and meta.dport",
    ),
    "a composite set": ('set: "@d", meta.l4_proto: udp', "set and meta.l4_proto"),
}

ALONE = {
    "no address is left": 'ip4.saddr: "!0.0.0.0/0"',
    "no VLAN is left": 'vlan.id: ["!none", "!0-4095"]',
    "no chance": "meta.probability: 0",
    "no flow": "meta.flow_probability: 0%",
    "no length": 'meta.length: "!0-4294967295"',
}

ALIVE = {
    "other values": (
        """match: {tcp.dport: 80}, action: pass
           match: {tcp.dport: 81}, action: pass"""
    ),
    "the narrow one first": (
        """match: {ip4.saddr: 10.1.0.0/16}, action: pass
           match: {ip4.saddr: 10.0.0.0/8}, action: drop
           match: {ether.type: ip4}, action: pass"""
    ),
    "other protocols": (
        """match: {tcp.dport: 53}, action: pass
           match: {udp.dport: 53}, action: pass
           match: {meta.dport: 53}, action: drop
           match: {meta.l4_proto: [tcp, udp, sctp]}, action: drop"""
    ),
    "a guard holds negated, too": (
        """match: {tcp.dport: "!80"}, action: drop
           match: {udp.dport: 53}, action: pass"""
    ),
    "all but the edges": (
        """match: {tcp.dport: 1-65534}, action: drop
           match: {tcp.dport: 0}, action: pass
           match: {tcp.dport: 65535}, action: pass"""
    ),
    "all but one of long lists": (
        """match: {tcp.dport: [0, 2, 4, 6, 8, 10-12, 14, 65535]}, action: drop
           match: {tcp.dport: [1, 3, 5, 7, 9, 13, 15-65533]}, action: drop
           match: {tcp.dport: [0, 8, 10, 65534]}, action: count
           match: {tcp.sport: 80}, action: pass"""
    ),
    "all but a corner": (
        """match: {tcp.sport: 0-100, tcp.dport: 0-60}, action: pass
           match: {tcp.sport: 0-60, tcp.dport: 50-100}, action: pass
           match: {tcp.sport: 50-100, tcp.dport: 62-100}, action: pass
           match: {tcp.sport: 10-90, tcp.dport: 10-90}, action: drop"""
    ),
    "all but a side": (
        """match: {tcp.sport: 20-100, tcp.dport: 20-100}, action: pass
           match: {tcp.sport: 0-80, tcp.dport: 0-19}, action: pass
           match: {tcp.sport: 81-100, tcp.dport: 0-19}, action: pass
           match: {tcp.sport: 10-90, tcp.dport: 10-90}, action: drop"""
    ),
    "all but the other side": (
        """match: {tcp.sport: 20-100, tcp.dport: 20-100}, action: pass
           match: {tcp.sport: 0-19, tcp.dport: 0-80}, action: pass
           match: {tcp.sport: 0-19, tcp.dport: 81-100}, action: pass
           match: {tcp.sport: 10-90, tcp.dport: 10-90}, action: drop"""
    ),
    "IP without a header that is parsed": (
        """match: {ip4.proto: gre, ip4.frag: none}, action: pass
           match: {ip6.nexthdr: gre, ip6.frag: none}, action: pass
           match: {ip6.nexthdr: icmp, ip6.frag: none}, action: pass"""
    ),
    "count and log go on": (
        """match: {tcp.dport: 80}, action: count
           match: {tcp.dport: 80}, action: log
           match: {tcp.dport: 80}, action: pass"""
    ),
    "by chance": (
        """match: {meta.probability: 50%, tcp.dport: 80}, action: drop
           match: {meta.probability: 50%, tcp.dport: 80}, action: drop
           match: {tcp.dport: 80}, action: pass"""
    ),
    "nearly always": (
        """match: {meta.probability: 99.9999999}, action: drop
           match: {tcp.dport: 80}, action: pass"""
    ),
    "more flows": (
        """match: {meta.flow_probability: 30%}, action: drop
           match: {meta.flow_probability: 50%}, action: pass"""
    ),
    "a set may grow": (
        """match: {ip4.saddr: 10.0.0.0/8}, action: drop
           match: {ip4.saddr: "@a"}, action: pass"""
    ),
    "a set may shrink": (
        """match: {ip4.saddr: "@a"}, action: drop
           match: {ip4.saddr: 10.0.0.1}, action: pass"""
    ),
    "an empty set": (
        """match: {ip4.saddr: "@b"}, action: drop
           match: {ip4.saddr: "!@b", tcp.dport: 80}, action: pass"""
    ),
    "another set, the same set elsewhere": (
        """match: {ip4.saddr: "@a"}, action: drop
           match: {ip4.saddr: "@b"}, action: drop
           match: {ip4.daddr: "@a"}, action: drop
           match: {arp.spa: "@a"}, action: drop"""
    ),
    "a set or a value": (
        """match: {ip4.saddr: "@a"}, action: drop
           match: {ip4.saddr: ["@a", 192.0.2.1]}, action: pass"""
    ),
    "not all later fragments": (
        """match: {meta.sport: 0-65535}, action: drop
           match: {meta.l4_proto: tcp, ip4.frag: later}, action: pass
           match: {ip6.frag: first, icmpv6.type: 1}, action: pass"""
    ),
    "a header in the middle of a chain": (
        """match: {ip6.nexthdr: tcp}, action: drop
           match: {ip6.nexthdr: route}, action: pass
           match: {ip6.nexthdr: "!route"}, action: pass"""
    ),
    "a fragment's header without a fragment": (
        """match: {ip6.frag: any}, action: drop
           match: {ip6.nexthdr: frag, ip6.frag: none}, action: pass"""
    ),
    "tags and none": (
        """match: {vlan.id: 0-4095}, action: drop
           match: {vlan.id: none}, action: pass"""
    ),
    "no tag": (
        """match: {vlan.id: "!7"}, action: drop
           match: {ether.type: arp}, action: pass"""
    ),
    "ARP of other networks": (
        """match: {arp.op: 0-65535}, action: drop
           match: {ether.type: arp}, action: pass"""
    ),
    "another mask": (
        """match: {ether.saddr: "02:00:00:00:00:01/fe:00:00:00:00:ff"}, action: drop
           match: {ether.saddr: "02:00:00:00:00:01/ff:00:00:00:00:0f"}, action: pass"""
    ),
    "flags alone": (
        """match: {tcp.flags: "any(syn,ack,fin,rst,psh,urg,ece,cwr)"}, action: drop
           match: {tcp.flags: none}, action: pass"""
    ),
    "as long as its headers": (
        """match: {meta.length: 0-54, tcp.dport: 80}, action: drop
           match: {meta.length: 42, udp.dport: 80}, action: pass"""
    ),
    "frames from no port": (
        """match: {meta.port: "!eth0"}, action: drop
           match: {meta.port: none}, action: pass"""
    ),
    "ICMP is for IPv4": (
        """match: {icmp.type: 0-255}, action: drop
           match: {ip6.nexthdr: icmp}, action: pass"""
    ),
}


@pytest.mark.parametrize("name", DEAD)
def test_rules_that_earlier_ones_leave_nothing(name: str) -> None:
    rules, expected = DEAD[name]
    assert of_rules(rules) == expected


@pytest.mark.parametrize("name", AT_ODDS)
def test_conditions_at_odds(name: str) -> None:
    match, keys = AT_ODDS[name]
    expected = [never("1", f"no frame is as {keys} want it")]
    assert of_rules(f"match: {{{match}}}, action: drop") == expected


@pytest.mark.parametrize("name", ALONE)
def test_a_condition_at_odds_with_itself(name: str) -> None:
    key = ALONE[name].partition(":")[0]
    expected = [never("1", f"no frame is as {key} wants it")]
    assert of_rules(f"match: {{{ALONE[name]}}}, action: drop") == expected


@pytest.mark.parametrize("name", ALIVE)
def test_rules_that_may_match(name: str) -> None:
    assert of_rules(ALIVE[name]) == []


def test_the_place_is_that_of_the_rule() -> None:
    found = warnings(with_rules("action: pass\naction: drop"))
    assert [(one.file, one.line, one.column) for one in found] == [
        ("t.yaml", 12, 3),
        ("t.yaml", 18, 9),
    ]


@pytest.mark.parametrize("limit", ["LOOKS", "PIECES", "LOOKS_A_POLICY"])
def test_a_long_search_is_given_up(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, limit, 2)
    rules, found = DEAD["overlapping squares"]
    assert found
    assert of_rules(rules) == []
