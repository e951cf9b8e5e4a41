"""What `validate` warns of: files in, exact sentences out, and the files that deserve none.

Rules that never match: test_policy_idle.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.policy.warned import HEAD, UNUSED, of_rules, told, topology, with_rules
from xdpctl.policy import cutoff
from xdpctl.policy.advice import warnings
from xdpctl.topology.model import UserProgram

APART = "without which neighbours do not find each other"
NEEDS = {
    "arp": f"IPv4 but no ARP, {APART}: add - {{name: arp, "
    "match: {ether.type: arp}, action: pass}",
    "nd": f"IPv6 but no neighbour discovery, {APART}: add - {{name: neighbours, match: "
    "{icmpv6.type: [nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert]}, action: pass}",
    "dhcp": "no answers of DHCP and DHCPv6 servers: add - {name: dhcp, match: "
    "{udp.dport: [bootpc, dhcpv6-client]}, action: pass}",
    "dhcp4": "no answers of DHCP servers: add - {name: dhcp, match: "
    "{udp.sport: bootps, udp.dport: bootpc}, action: pass}",
    "dhcp6": "no answers of DHCPv6 servers: add - {name: dhcpv6, match: "
    "{udp.dport: dhcpv6-client}, action: pass}",
    "own": "no answers to its device's own TCP connections and DNS queries: add "
    "- {name: answers, match: {tcp.flags: all(ack), tcp.dport: 32768-60999}, action: pass} and "
    "- {name: dns answers, match: {udp.sport: domain, udp.dport: 32768-60999}, action: pass}",
    "tcp": "no answers to its device's own TCP connections: add "
    "- {name: answers, match: {tcp.flags: all(ack), tcp.dport: 32768-60999}, action: pass}",
    "dns": "no answers to its device's own DNS queries: add "
    "- {name: dns answers, match: {udp.sport: domain, udp.dport: 32768-60999}, action: pass}",
}

ARP = "name: arp, match: {ether.type: arp}, action: pass"
ND = "name: nd, match: {icmpv6.type: [nd-neighbor-solicit, nd-neighbor-advert]}, action: pass"
HTTPS = "name: https, match: {tcp.dport: 443}, action: pass"
HTTPS4 = "name: https, match: {tcp.dport: 443, ip4.saddr: 10.0.0.0/8}, action: pass"
HTTPS6 = 'name: https, match: {tcp.dport: 443, ip6.saddr: "2001:db8::/32"}, action: pass'
BACK = "match: {meta.dport: 32768-60999}, action: pass"
DHCP = "match: {udp.dport: [bootpc, dhcpv6-client]}, action: pass"

CUT_OFF = {
    "one port and nothing else": ([HTTPS], ["arp", "nd", "dhcp", "own"]),
    "ARP, too": ([ARP, HTTPS], ["nd", "dhcp", "own"]),
    "both kinds of neighbours": ([ARP, ND, HTTPS], ["dhcp", "own"]),
    "IPv4 alone": ([ARP, HTTPS4], ["dhcp4", "own"]),
    "IPv6 alone": ([ND, HTTPS6], ["dhcp6", "own"]),
    "IPv4 alone, said of the rules before": (
        ["match: {ether.type: ip6}, action: drop", HTTPS],
        ["arp", "dhcp4", "own"],
    ),
    "IPv4 with a DHCP of its own": (
        [ARP, ND, "match: {udp.dport: 68}, action: pass", HTTPS],
        ["dhcp6", "own"],
    ),
    "pings alone": ([ARP, "match: {icmp.type: echo-request}, action: pass"], ["dhcp4"]),
    "all but DNS": ([ARP, ND, DHCP, "match: {meta.l4_proto: tcp}, action: pass"], ["dns"]),
    "first segments alone": (
        [ARP, ND, DHCP, BACK.replace("meta", "udp"), "match: {tcp.flags: syn}, action: pass"],
        ["tcp"],
    ),
    "neighbours from afar": (
        [
            ARP,
            "match: {icmpv6.type: 135-136, ip6.hoplimit: 64}, action: pass",
            "match: {ip6.nexthdr: esp}, action: pass",
        ],
        ["nd", "dhcp6"],
    ),
    "SCTP alone": ([ARP, ND, "match: {sctp.dport: 5000}, action: pass"], ["dhcp"]),
    "pings of IPv6": ([ARP, "match: {icmpv6.type: echo-request}, action: pass"], ["nd", "dhcp6"]),
    "a server's end of DHCP": (
        [ARP, ND, BACK, "match: {udp.dport: 67}, action: pass"],
        ["dhcp"],
    ),
    "answers and nothing else": ([BACK], ["arp", "nd", "dhcp"]),
    "answers, by ARP": ([ARP, BACK], ["dhcp4"]),
    "answers, by both": ([ARP, ND, BACK], ["dhcp"]),
    "answers, without ARP": ([ND, HTTPS6, BACK], ["dhcp6"]),
    "a set's addresses": (['match: {ip4.saddr: "@a"}, action: pass'], ["arp"]),
    "a limit passes": (
        ["match: {ip4.proto: icmp}, action: {limit: 10/second}"],
        ["arp", "dhcp4"],
    ),
    "by chance, and by no chance": (
        ["match: {meta.probability: 0, ether.type: arp}, action: pass", "match: "
         "{meta.probability: 50%, ip4.proto: igmp}, action: pass"],
        ["arp", "dhcp4"],
    ),
}  # fmt: skip

NOT_CUT_OFF = {
    "nothing at all passes": (),
    "only drops": ("match: {ip4.saddr: 10.0.0.0/8}, action: drop", "action: count"),
    "all that is needed": (ARP, ND, DHCP, BACK, HTTPS),
    "all of it": ("action: pass",),
    "everything from one address": ("match: {ether.saddr: '02:00:00:00:00:01'}, action: pass",),
    "ARP alone": (ARP,),
    "some ARP": ("match: {arp.tpa: 10.0.0.1}, action: pass", HTTPS4, BACK, DHCP, ND),
    "some of the time": ("match: {meta.probability: 1%}, action: pass",),
    "within a limit": ("match: {ether.type: arp}, action: {limit: 100/second}", ND, DHCP, BACK),
    "all IPv4 of some": (ARP, "match: {ip4.saddr: 10.0.0.0/8}, action: pass"),
    "IPv6 is not asked for": (ARP, HTTPS4, BACK, "match: {udp.dport: bootpc}, action: pass"),
    "IPv4 is not asked for": (ND, HTTPS6, BACK, "match: {udp.dport: 546}, action: pass"),
    "dropped on purpose": (
        ARP,
        "match: {ether.type: ip6}, action: drop",
        "match: {udp.dport: bootpc}, action: drop",
        "match: {meta.dport: 32768-60999}, action: drop",
        HTTPS,
    ),
    "sent elsewhere": (
        "match: {ether.type: arp}, action: {userspace: all}",
        HTTPS4,
        "match: {meta.l4_proto: [tcp, udp]}, action: {userspace: all}",
    ),
    "some of it sent elsewhere": (
        "match: {arp.op: request}, action: {redirect: eth1}",
        "match: {ip4.proto: icmp}, action: pass",
        DHCP,
    ),
    "some of it dropped by chance": (
        "match: {meta.probability: 50%, arp.op: request}, action: drop",
        "match: {arp.op: request}, action: pass",
        "match: {ip4.proto: icmp}, action: pass",
        DHCP,
    ),
    "nothing for the device itself": (
        "match: {udp.dport: 4789}, action: {userspace: vtep}",
        "match: {udp.dport: 7}, action: tx",
    ),
    "no rule of IP": ("match: {ether.type: 0x88cc}, action: pass",),
}


@pytest.mark.parametrize("name", CUT_OFF)
def test_what_a_default_cuts_off(name: str) -> None:
    rules, missing = CUT_OFF[name]
    found = of_rules("\n".join(rules), "drop")
    needs = [message for message in found if "never matches" not in message]
    assert needs == [f"policy p passes {NEEDS[need]}" for need in missing]


@pytest.mark.parametrize("name", CUT_OFF)
def test_the_fixes_together_are_enough(name: str) -> None:
    text = HEAD + "    default: drop\n    rules:\n"
    text += "".join(f"      - {{{rule}}}\n" for rule in CUT_OFF[name][0])
    fixes = [line for one in warnings(topology(text)) for line in one.fix.splitlines()]
    fixed = told(topology(text + "".join(f"      {fix}\n" for fix in fixes)))
    assert [message for message in fixed if "passes" in message] == []


@pytest.mark.parametrize("name", NOT_CUT_OFF)
def test_what_is_meant_so(name: str) -> None:
    text = HEAD + "    default: drop\n    rules:\n"
    text += "".join(f"      - {{{rule}}}\n" for rule in NOT_CUT_OFF[name])
    assert [one for one in told(topology(text)) if "never" not in one] == [UNUSED]


def test_a_default_of_pass_cuts_nothing_off() -> None:
    assert of_rules("match: {ether.type: '!ip4'}, action: drop") == []


def test_a_drop_without_a_match_is_a_default() -> None:
    found = of_rules(f"{ARP}\n{HTTPS4}\n{DHCP}\n{BACK.replace('meta', 'udp')}\naction: drop")
    assert found == [f"policy p passes {NEEDS['tcp'].replace('add -', 'add before rule 5 -')}"]


GOTO = """\
version: 1
name: t
devices: {eth0: {kind: physical, xdp: {policy: p}}}
policies:
  p:
    default: drop
    rules:
      - {name: rest, match: {ether.type: [ip4, arp]}, action: {policy: rest}}
  rest:
    default: drop
    rules:
      - {name: tcp, match: {meta.l4_proto: tcp}, action: pass}
      - {name: udp, match: {meta.l4_proto: udp}, action: pass}
"""


def test_another_policy_decides() -> None:
    assert told(topology(GOTO)) == [
        f"policy p passes {NEEDS['arp'].replace('add -', 'add before rule 1 -')}"
    ]
    assert told(topology(GOTO.replace("rest:\n    default: drop", "rest:"))) == []
    passed = GOTO + "      - {match: {ether.type: arp}, action: pass}\n"
    assert told(topology(passed)) == []


def test_a_policy_is_judged_once_however_many_use_it() -> None:
    text = GOTO.replace(
        "devices: {eth0: {kind: physical, xdp: {policy: p}}}",
        """devices:
  eth0: {kind: physical, xdp: {policy: p}}
  web[1-9]: {kind: macvlan, parent: eth0, xdp: {policy: p, flood: pass}}""",
    )
    assert len(told(topology(text))) == 1


def test_a_fix_has_a_name_of_its_own_and_is_one() -> None:
    text = HEAD + "    default: drop\n    rules:\n      - {name: arp, action: count}\n"
    text += f"      - {{{HTTPS}}}\n"
    fixes = [line for one in warnings(topology(text)) for line in one.fix.splitlines()]
    assert fixes[0] == "- {name: arp 2, match: {ether.type: arp}, action: pass}"
    assert len(fixes) == 5
    assert told(topology(text + "".join(f"      {fix}\n" for fix in fixes))) == [UNUSED]


USE = """\
version: 1
name: t
devices:
  eth0: {kind: physical, xdp: {policy: guard}}
  eth1: {kind: physical}
  eth2: {kind: physical}
  bond0: {kind: bond, ports: [eth1, eth2]}
  web0: {kind: macvlan, parent: bond0, xdp: {policy: web}}
sets:
  a: {type: ip4, entries: []}
  b: {type: [ip4.saddr, tcp.dport], entries: []}
policies:
  guard:
    rules:
      - {match: {ip4.saddr: "@a"}, action: drop}
  web:
    rules:
      - {match: {set: "!@b"}, action: {policy: more}}
  more: {}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ('ip4.saddr: "@a"', "ip4.ttl: 0", ["set a is used by no rule"]),
        ('set: "!@b"', "ip4.ttl: 0", ["set b is used by no rule"]),
        ("{policy: more}", "pass", ["policy more is used by no device"]),
        (
            ", xdp: {policy: web}",
            "",
            ["policy web is used by no device", "policy more is used by no device"],
        ),
        ('set: "!@b"', 'set: "@b", meta.port: [eth1, none]', []),
        (
            'set: "!@b"',
            'set: "@b", meta.port: eth0',
            ["rule 1 of policy web: no frame for its devices comes in by eth0"],
        ),
        (
            "more: {}",
            'more: {rules: [{match: {meta.port: ["!eth0", "!eth2"]}, action: drop}]}',
            ["rule 1 of policy more: no frame for its devices comes in by eth0"],
        ),
        ("ip4.saddr: ", "meta.port: eth0, ip4.saddr: ", []),
        ("action: drop", "action: {redirect: bond0}", []),
        (
            "action: drop",
            "action: {redirect: eth0}",
            ["rule 1 of policy guard sends the frames of eth0 back to itself: write action: tx"],
        ),
        ("xdp: {policy: guard}", "xdp: {policy: guard, enabled: false}", []),
    ],
)
def test_what_nobody_uses_or_meets(old: str, new: str, expected: list[str]) -> None:
    assert told(topology(USE.replace(old, new))) == expected


def test_a_users_program_is_not_judged() -> None:
    found = with_rules(f"{HTTPS}\naction: {{policy: used}}", "drop")
    program = UserProgram("a.o", "0" * 64, "main")
    for name in ("p", "used"):
        policies = {**found.policies, name: replace(found.policies[name], rules=(), object=program)}
        assert all("passes" not in one for one in told(replace(found, policies=policies)))


@pytest.mark.parametrize("limit", ["LOOKS", "PIECES"])
def test_a_long_search_is_given_up(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutoff, limit, 0)
    assert of_rules(HTTPS, "drop") == []
