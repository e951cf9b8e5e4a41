"""What warnings say of random policies, checked against the evaluator on frames made to prove them
wrong: a rule that never matches matches none, what is cut off never passes.

POLICY_PAIRS=100000 makes the long run: at least so many pairs of policy and frame.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.policies import frames
from tests.policies.strategies import LOCATION, any_frames, policies
from xdpctl.policy.counted import counted
from xdpctl.policy.cutoff import Cut, cut_off
from xdpctl.policy.evaluate import Decision, evaluate
from xdpctl.policy.idle import Idle, idle_rules
from xdpctl.policy.regions import Claims, field_of
from xdpctl.topology.closure import closure
from xdpctl.topology.keys import KEYS
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import COMPOSITE, Condition, Interval, Policy, Rule

PAIRS = int(os.environ.get("POLICY_PAIRS", "4000"))
VARIANTS, AIMED_FRAMES = 4, 40
EXAMPLES = -(-PAIRS // (VARIANTS * AIMED_FRAMES))
PORTS = (None, "lo", "eth1", "eth2")
L4 = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}

quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def crowded(policy: Policy, random: Random) -> Policy:
    """The policy with rules that repeat, narrow, halve or join others."""
    rules = list(policy.rules)
    for _ in range(random.choice((0, 1, 2, 4))):
        one, other = random.choice(rules), random.choice(rules)
        if one.conditions and one.conditions[0].key != COMPOSITE:
            more = random.choice((repeated, halved))(one, other)
            at = random.randint(0, len(rules))
            rules[at:at] = more
    return distinct(policy, rules[:24])


def narrow(policy: Policy, random: Random) -> Policy:
    """A policy of few rules, which passes little."""
    rules = [rule for rule in policy.rules if rule.conditions]
    some = random.sample(rules, min(len(rules), random.randint(1, 3)))
    opened = [replace(rule, conditions=rule.conditions[:1], action="pass", into=None)
              for rule in some if random.random() < 0.7]  # fmt: skip
    web = Rule("web", (Condition("tcp.dport", (Interval(443, 443),)),), "pass", LOCATION)
    more = [web] if random.random() < 0.5 else []
    return distinct(replace(policy, default="drop"), [*opened, *some, *more])


def distinct(policy: Policy, rules: list[Rule]) -> Policy:
    """The policy with these rules, each an object of its own, as a file's rules are."""
    return replace(policy, rules=tuple(replace(rule) for rule in rules))


def repeated(one: Rule, other: Rule) -> list[Rule]:
    """A rule, and the same with more conditions."""
    return [one, replace(one, conditions=(*one.conditions, *other.conditions))]


def halved(one: Rule, other: Rule) -> list[Rule]:
    """What holds on a condition, what does not, and what both of them leave nothing of."""
    first = one.conditions[0]
    whole = (Interval(0, (1 << KEYS[first.key].bits) - 1),)
    every = replace(first, intervals=whole, masks=(), sets=(), devices=(), negated=False)
    return [
        replace(one, conditions=(first,), action="drop", into=None),
        replace(one, conditions=(replace(first, negated=not first.negated),), action="pass",
                into=None),
        replace(other, conditions=(every, *other.conditions)),
    ]  # fmt: skip


def value(condition: Condition, key: str, random: Random) -> int | None:
    """A number that the condition may hold on; None: that it is not there."""
    bits, found = KEYS[key].bits, set[int]()
    for one in condition.intervals:
        found |= {one.low, one.high, random.randint(one.low, one.high)}
        found |= {max(one.low - 1, 0), one.high + 1} if condition.negated else set()
    for mask in condition.masks:
        found |= {mask.value, mask.value | random.getrandbits(bits) & ~mask.mask}
    for some in condition.sets if condition.key != COMPOSITE else ():
        found |= some.exact
        for length, entries in some.prefixes.items():
            found |= {each | random.getrandbits(bits - length) for each in entries}
    if condition.negated or not found:
        found |= {random.getrandbits(bits) for _ in range(3)} | {0, 1, (1 << bits) - 1}
    fits = sorted(each for each in found if (each in condition) != condition.negated)
    chosen = random.choice(fits or sorted(found))
    return chosen if chosen < 1 << bits else None


def aimed(rule: Rule, random: Random) -> bytes:
    """A frame that the rule is likely to match."""
    wanted: dict[str, int | None] = {}
    keys: list[str] = []
    for condition in rule.conditions:
        joined = random.choice(sorted(condition.sets[0].exact or {0})) if condition.sets else 0
        for key in reversed(condition.keys):
            keys.append(key)
            if condition.key == COMPOSITE:
                wanted[field_of(key)] = joined & (1 << KEYS[key].bits) - 1
                joined >>= KEYS[key].bits
            else:
                wanted[field_of(key)] = value(condition, key, random)
    network, l4 = protocols(keys, wanted, random)
    payload = random.randbytes(random.choice((0, 30, 70)))
    if network in (frames.IP4, frames.IP6):
        payload = packet(network, l4, wanted, random)
    elif network == frames.ARP:
        addresses = wanted.get("arp.spa") or 0, wanted.get("arp.tpa") or 0
        payload = frames.arp(wanted.get("arp.op") or 1, *addresses)
    return tagged(network, payload, wanted, random)


def protocols(keys: list[str], wanted: dict[str, int | None], random: Random) -> tuple[int, int]:
    """The frame's type, and its transport protocol."""
    names = {key.partition(".")[0] for key in keys}
    network = random.choice((frames.IP4, frames.IP6))
    for name, number in (("ip4", frames.IP4), ("ip6", frames.IP6), ("arp", frames.ARP),
                         ("icmp", frames.IP4), ("icmpv6", frames.IP6)):  # fmt: skip
        network = number if name in names else network
    network = wanted.get("ether.type") or network
    l4 = wanted.get("l4_proto")
    if l4 is None:
        l4 = next((number for name, number in L4.items() if name in names), None)
    return network, random.choice((6, 17, 132, 58 if network == frames.IP6 else 1, 47)) if (
        l4 is None
    ) else l4


def packet(network: int, l4: int, wanted: dict[str, int | None], random: Random) -> bytes:
    """An IP packet with the wanted fields, and the others at random."""

    def field(name: str, bits: int) -> int:
        number = wanted.get(name)
        return random.getrandbits(bits) if number is None else number

    ports = field("sport", 16), field("dport", 16)
    segment = {
        6: lambda: frames.tcp(*ports, field("tcp.flags", 8)),
        17: lambda: frames.udp(*ports),
        132: lambda: frames.sctp(*ports),
    }.get(l4, lambda: frames.icmp(field("icmp.type", 8), field("icmp.code", 8)))()
    part = wanted.get("frag") or random.choice((1, 1, 1, 2, 3))
    offset, more = (7 if part == 3 else 0), part != 1
    service, hops = field("dscp", 6) << 2, field("ttl", 8)
    if network == frames.IP4:
        return frames.ip4(
            l4, segment, saddr=field("ip4.saddr", 32), daddr=field("ip4.daddr", 32),
            offset=offset, more=more, service=service, ttl=hops,
        )  # fmt: skip
    chain = [frames.option(n) for n in random.choice(((), (), (43,), (0, 60)))]
    if part != 1 or random.random() < 0.2:
        chain.append(frames.fragment(offset, more=more))
    return frames.ip6(
        l4, segment, saddr=field("ip6.saddr", 128), daddr=field("ip6.daddr", 128),
        extensions=chain, service=service, hops=hops,
    )  # fmt: skip


def tagged(network: int, payload: bytes, wanted: dict[str, int | None], random: Random) -> bytes:
    """The frame around it: addresses, VLAN tags, and the length if one is wanted."""
    outer = {"vlan.id", "vlan.pcp"} & wanted.keys()
    tags = random.choice((0, 0, 1, 2))
    if outer:
        tags = 0 if None in {wanted[name] for name in outer} else max(tags, 1)
    if "vlan.inner_id" in wanted:
        tags = min(tags, 1) if wanted["vlan.inner_id"] is None else 2
    control = (wanted.get("vlan.pcp") or 0) << 13 | (wanted.get("vlan.id") or 0)
    frame = frames.ethernet(
        network,
        payload,
        [0x8100] * tags,
        control=(control, wanted.get("vlan.inner_id") or 0),
        saddr=wanted.get("ether.saddr") or random.getrandbits(48),
        daddr=wanted.get("ether.daddr") or random.getrandbits(48),
    )
    missing = (wanted.get("meta.length") or 0) - len(frame)
    return frame + bytes(missing) if 0 < missing < 3000 else frame


def idle_of(policy: Policy) -> dict[int, Idle]:
    """The idle rules of a policy and of those that it leads to, by the rules' identities."""
    claims = Claims()
    return {
        id(one.rules[found.index]): found
        for one in closure(policy)
        for found in idle_rules(one, claims)
    }


def met(policy: Policy, decision: Decision) -> set[int]:
    """The rules that matched, by their identities."""
    rows = counted(policy)
    return {id(rows[at].rule) for at in decision.counted if at < len(rows)}


def shots(
    policy: Policy, idle: dict[int, Idle], random: Random
) -> list[tuple[Rule, bytes, str | None]]:
    """Frames aimed at rules, those that are said to be idle before all."""
    rules = [rule for one in closure(policy) for rule in one.rules]
    targets = [rule for rule in rules if id(rule) in idle] or rules
    chosen = [random.choice(random.choice((targets, rules))) for _ in range(AIMED_FRAMES)]
    return [(rule, aimed(rule, random), random.choice(PORTS)) for rule in chosen]


@quickly
@given(policy=policies(), many=st.lists(any_frames(), min_size=5, max_size=5), seed=st.integers())
def test_an_idle_rule_never_matches(policy: Policy, many: list[bytes], seed: int) -> None:
    random = Random(seed)
    for variant in [crowded(policy, random) for _ in range(VARIANTS)]:
        idle = idle_of(variant)
        pairs = [(frame, port) for _, frame, port in shots(variant, idle, random)]
        pairs += [(frame, random.choice(PORTS)) for frame in many]
        for entry in closure(variant):
            for frame, port in pairs:
                for number in met(entry, evaluate(entry, frame, port=port)):
                    assert number not in idle, f"{frame.hex()} by {port}: {idle[number]}"


NEEDED: dict[str, Callable[[Random, Callable[..., bytes]], bytes]] = {
    "arp": lambda random, ip: frames.arp(
        random.choice((1, 2)), random.getrandbits(32), random.getrandbits(32)
    ),
    "neighbours": lambda random, ip: frames.ip6(
        58, frames.icmp(random.choice((135, 136)), 0), hops=255, saddr=random.getrandbits(128)
    ),
    "dhcp": lambda random, ip: frames.ip4(17, frames.udp(67, 68), saddr=random.getrandbits(32)),
    "dhcpv6": lambda random, ip: frames.ip6(
        17, frames.udp(random.choice((547, random.getrandbits(16))), 546)
    ),
    "answers": lambda random, ip: ip(
        6,
        frames.tcp(
            random.getrandbits(16), random.randint(32768, 60999), 16 | random.getrandbits(8)
        ),
    ),
    "dns answers": lambda random, ip: ip(17, frames.udp(53, random.randint(32768, 60999))),
}


def needed(one: Cut, random: Random) -> bytes:
    """A frame that is said to be cut off."""
    name = random.choice([name for name, _ in one.need.rules])
    if one.need.text == "no answers of DHCP and DHCPv6 servers":
        name = random.choice(("dhcp", "dhcpv6"))
    payload = NEEDED[name](random, random.choice((frames.ip4, frames.ip6)))
    kind = {"arp": frames.ARP, 4: frames.IP4, 6: frames.IP6}[
        "arp" if name == "arp" else payload[0] >> 4
    ]
    wanted = {"ether.daddr": random.choice((0x020000000001, 0xFFFFFFFFFFFF))}
    return tagged(kind, payload + bytes(random.choice((0, 0, 18, 200))), dict(wanted), random)


def fixed(policy: Policy, one: Cut) -> Policy:
    """The policy with the rules that are offered, where they are to stand."""
    head = "version: 1\nname: t\ndevices: {eth0: {kind: physical}}\npolicies:\n  p:\n    rules:\n"
    lines = [f"      - {{match: {{{match}}}, action: pass}}\n" for _, match in one.need.rules]
    rules = load_texts({"t.yaml": head + "".join(lines)}).policies["p"].rules
    return replace(policy, rules=(*policy.rules[: one.at], *rules, *policy.rules[one.at :]))


@quickly
@given(policy=policies(), seed=st.integers())
def test_what_is_cut_off_never_passes_until_it_is_fixed(policy: Policy, seed: int) -> None:
    random = Random(seed)
    for variant in [narrow(policy, random) for _ in range(VARIANTS)]:
        for one in cut_off(variant, Claims()):
            for frame in [needed(one, random) for _ in range(AIMED_FRAMES)]:
                decision = evaluate(variant, frame, port=random.choice(PORTS))
                assert decision.verdict == "drop", f"{one} passes {frame.hex()}"
            better = cut_off(fixed(variant, one), Claims())
            assert one.need.text not in {other.need.text for other in better}


def test_the_random_policies_try_them() -> None:
    """Else the tests above would say nothing: rules are idle for each reason, aimed frames hit.

    The figures depend on what else is imported: Hypothesis also draws numbers found in modules.
    """
    seen: Counter[str] = Counter()

    @settings(quickly, max_examples=25, derandomize=True, database=None)
    @given(policy=policies(), seed=st.integers())
    def look(policy: Policy, seed: int) -> None:
        random = Random(seed)
        for variant in [crowded(policy, random) for _ in range(VARIANTS)]:
            idle = idle_of(variant)
            seen.update(found.why.split(" ")[0] for found in idle.values())
            for rule, frame, port in shots(variant, idle, random):
                alone = Policy("alone", "drop", (replace(rule, action="count"),), LOCATION)
                hit = evaluate(alone, frame, port=port).counted[0] == 0
                seen["dead, but met alone" if id(rule) in idle else "met"] += hit
                seen["shots at others"] += id(rule) not in idle
        for variant in [narrow(policy, random) for _ in range(VARIANTS)]:
            seen.update(one.need.rules[0][0] for one in cut_off(variant, Claims()))

    look()
    assert seen["no"] > 50
    assert seen["rule"] > 30
    assert seen["rules"] > 10
    assert seen["dead, but met alone"] > 200
    assert seen["met"] > 0.3 * seen["shots at others"] > 200
    assert min(seen[name] for name in ("arp", "neighbours", "dhcp", "dhcpv6", "answers")) > 3
