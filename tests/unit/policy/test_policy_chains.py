"""Which rules a frame of a protocol goes through."""

from __future__ import annotations

import pytest

from xdpctl.policy.bindings import Bindings
from xdpctl.policy.chains import chains
from xdpctl.policy.known import narrowed
from xdpctl.policy.steps import steps_of
from xdpctl.topology.load import load_texts

TCP, UDP = 6, 17
ALTERNATING = ("tcp.dport: 1", "udp.dport: 1", "tcp.dport: 2", "meta.dport: 3", "icmp.type: 8")


def found(*matches: str) -> dict[int | None, list[tuple[int, bool]]]:
    """By protocol the rules that are left, and whether they still ask for it."""
    rules = ", ".join(f"{{match: {{{each}}}, action: pass}}" for each in matches)
    text = f"version: 1\nname: t\ndevices: {{}}\npolicies:\n  p: {{rules: [{rules}]}}\n"
    (policy,) = load_texts({"t.yaml": text}).policies.values()
    met = [(at, one) for at, one in enumerate(steps_of(policy, Bindings())) if one is not None]
    made = chains(met)
    told = [(None, made.others), *made.own.items()]
    return {protocol: [(at, "l4" in one.guards) for at, one in each] for protocol, each in told}


def left(match: str) -> dict[int, tuple[list[str], list[str]] | None]:
    """By protocol the guards and tests that a rule has left; None where it is left out."""
    text = (
        "version: 1\nname: t\ndevices: {}\npolicies:\n"
        f"  p: {{rules: [{{match: {{{match}}}, action: pass}}]}}\n"
    )
    (policy,) = load_texts({"t.yaml": text}).policies.values()
    (steps,) = steps_of(policy, Bindings())
    assert steps is not None
    made = {protocol: narrowed(steps, protocol) for protocol in (TCP, UDP)}
    return {
        protocol: ([*one.guards], [test.condition.key for test in one.tests]) if one else None
        for protocol, one in made.items()
    }


def test_a_frame_meets_the_rules_of_its_protocol() -> None:
    assert found(*ALTERNATING) == {
        None: [(3, True), (4, True)],
        TCP: [(0, False), (2, False), (3, False)],
        UDP: [(1, False), (3, False)],
    }


def test_rules_for_any_protocol_are_in_all_of_them() -> None:
    made = found("ip4.ttl: 1", *ALTERNATING, "ip4.ttl: 2")
    for protocol in (None, TCP, UDP):
        assert made[protocol][0] == (0, False)
        assert made[protocol][-1] == (6, False)


@pytest.mark.parametrize(
    "matches",
    [
        (),
        ("tcp.dport: 1", "tcp.dport: 2"),
        ("tcp.dport: 1", "udp.dport: 1"),
        ("icmp.type: 8", "sctp.dport: 1", "icmp.type: 3"),
        (*ALTERNATING, *("ip4.ttl: 1",) * 17),
        (*ALTERNATING, *("meta.dport: 1",) * 17),
    ],
    ids=["nothing", "one group", "two groups", "other protocols", "many copies", "of ports, too"],
)
def test_one_chain_where_more_gain_nothing(matches: tuple[str, ...]) -> None:
    (protocol,) = found(*matches)
    assert protocol is None


@pytest.mark.parametrize(
    ("match", "tcp", "udp"),
    [
        ("ether.type: arp", None, None),
        ("ether.type: 0x88cc", None, None),
        ("ether.type: ip4", ([], ["ether.type"]), ([], ["ether.type"])),
        ("ether.type: '!arp'", ([], []), ([], [])),
        ("ether.type: [ip4, ip6]", ([], []), ([], [])),
        ("meta.l4_proto: tcp", ([], []), None),
        ("meta.l4_proto: [tcp, udp, icmp]", ([], []), ([], [])),
        ("meta.l4_proto: '!udp'", ([], []), None),
        ("ip4.proto: udp", None, (["ether.type"], [])),
        ("ip6.nexthdr: tcp", (["ether.type"], []), None),
        ("ip6.nexthdr: frag", (["ether.type"], ["ip6.nexthdr"]), (["ether.type"], ["ip6.nexthdr"])),
        ("meta.sport: 7", ([], ["meta.sport"]), ([], ["meta.sport"])),
        ("tcp.flags: syn", ([], ["tcp.flags"]), None),
        ("ip4.saddr: 192.0.2.1, icmp.type: 8", None, None),
        ("arp.op: 1", None, None),
        ("vlan.id: none", ([], ["vlan.id"]), ([], ["vlan.id"])),
    ],
)
def test_what_the_protocol_tells_is_not_asked_again(match: str, tcp: object, udp: object) -> None:
    assert left(match) == {TCP: tcp, UDP: udp}
