"""Hypothesis strategies: policies, and frames that such policies can tell apart.

Numbers of both come from the same few pools, so that hits, misses and near misses are all common.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from itertools import count

from hypothesis import strategies as st

from tests.policies import frames
from tests.policies.rig import MAX_RULES
from xdpctl.policy.fields import FIELDS, PORT, RANDOM
from xdpctl.topology.keys import KEYS, exclude, merged
from xdpctl.topology.model import (
    COMPOSITE,
    Action,
    Condition,
    Interval,
    Location,
    Masked,
    Policy,
    Rate,
    Rule,
    Set,
    SetType,
)
from xdpctl.topology.set_composite import Composite, Entries
from xdpctl.topology.set_types import COMPOSABLE, FORMS, MEMBERS, Budget, Plain, padded, prefixes

PORTS = (0, 1, 53, 80, 443, 1023, 1024, 8000, 8050, 8100, 32768, 65534, 65535)
IP4 = tuple(
    int(ipaddress.IPv4Address(text))
    for text in ("0.0.0.0", "10.0.0.1", "10.255.255.255", "127.255.255.255", "128.0.0.0",
                 "192.0.2.1", "192.0.2.128", "255.255.255.255")
)  # fmt: skip
IP6 = tuple(
    int(ipaddress.IPv6Address(text))
    for text in ("::", "::1", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::",
                 "2001:db8:ffff::1", "7fff:ffff:ffff:ffff::1", "8000::", "fe80::1", "ff02::1",
                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
)  # fmt: skip
PROTOCOLS = (0, 1, 6, 17, 43, 44, 47, 50, 51, 58, 59, 60, 132, 254, 255)
TYPES = (0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x05DC, 0, 0xFFFF)
SMALL = (0, 1, 3, 8, 63, 64, 127, 128, 129, 135, 254, 255)
TAGS = (0x8100, 0x88A8)
IDS = (0, 1, 7, 100, 2048, 4094, 4095)
FLAGS = (0, 1, 2, 4, 16, 18, 20, 24, 0x29, 64, 128, 255)
MACS = (
    0, 0x020000000001, 0x020000000002, 0x0200000000FF, 0x01005E000001, 0x333300000001,
    0x7FFFFFFFFFFF, 0x800000000000, 0xFEFFFFFFFFFF, 0xFFFFFFFFFFFF,
)  # fmt: skip
LENGTHS = (14, 42, 54, 60, 64, 74, 94, 128, 1500)

LOCATION = Location("policy.yaml", 1, 1)

_POOLS = {
    "ether.type": TYPES,
    "ip4.saddr": IP4,
    "ip4.daddr": IP4,
    "ip6.saddr": IP6,
    "ip6.daddr": IP6,
    "l4_proto": PROTOCOLS,
    "sport": PORTS,
    "dport": PORTS,
    "icmp.type": SMALL,
    "icmp.code": SMALL,
    "ether.saddr": MACS,
    "ether.daddr": MACS,
    "vlan.id": IDS,
    "vlan.pcp": (0, 5, 7),
    "vlan.inner_id": IDS,
    "length": LENGTHS,
    "dscp": (0, 1, 8, 10, 46, 63),
    "ttl": SMALL,
    "frag": (1, 2, 3),
    "tcp.flags": FLAGS,
    "flow": (0, 1 << 30, 1 << 31, (1 << 32) - 1),
    "random": (0,),
}


def numbers(pool: tuple[int, ...], bits: int) -> st.SearchStrategy[int]:
    """Numbers of the pool, their neighbours, and any."""
    maximum = (1 << bits) - 1
    near = sorted({min(max(n + d, 0), maximum) for n in pool for d in (-1, 0, 1)})
    return st.one_of(st.sampled_from(pool), st.sampled_from(near), st.integers(0, maximum))


@st.composite
def intervals(draw: st.DrawFn, pool: tuple[int, ...], bits: int) -> tuple[Interval, ...]:
    """Single values, ranges and prefixes; short and long lists."""
    number = numbers(pool, bits)

    def single() -> Interval:
        value = draw(number)
        return Interval(value, value)

    def span() -> Interval:
        low, high = sorted((draw(number), draw(number)))
        return Interval(low, high)

    def prefix() -> Interval:
        host = (1 << draw(st.integers(0, bits))) - 1
        value = draw(number)
        return Interval(value & ~host, value | host)

    def near() -> Interval:
        value = min(draw(st.integers(0, 70)), (1 << bits) - 1)
        return Interval(value, value)

    kinds: list[Callable[[], Interval]] = [single, single, span, prefix]
    count = draw(st.sampled_from((1, 1, 1, 2, 3, 4, 8, 24)))
    if count > 4 and bits < 128 and draw(st.booleans()):
        kinds = [near]
    return merged([draw(st.sampled_from(kinds))() for _ in range(count)])


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Any key, any values, negated or not; sometimes a set's, or a composite set."""
    if draw(st.integers(0, 9)) == 0:
        return Condition(COMPOSITE, (), draw(st.booleans()), sets=(draw(composites()),))
    key = draw(st.sampled_from(sorted(FIELDS)))
    row, negated = FIELDS[key], draw(st.booleans())
    if row.field == RANDOM:  # no chance but always and never
        everything = Interval(0, (1 << row.bits) - 1)
        return Condition(key, (everything,) if draw(st.booleans()) else (), negated)
    if row.field == PORT:
        none = (Interval(0, 0),) if draw(st.booleans()) else ()
        names = draw(st.lists(st.sampled_from(("eth0", "eth1", "eth2")), unique=True))
        return Condition(key, none, negated, devices=tuple(sorted(names)))
    values = draw(intervals(_POOLS[row.field], row.bits))
    if key.startswith("vlan.") and draw(st.booleans()):
        none = (Interval(1 << row.bits, 1 << row.bits),)
        values = none if draw(st.booleans()) else merged([*values, *none])
    masks: tuple[Masked, ...] = ()
    if key in ("tcp.flags", "ether.saddr", "ether.daddr"):
        masks = draw(_masks(_POOLS[row.field]))
        if draw(st.booleans()) and masks:
            values = ()
    sets: tuple[Set, ...] = ()
    kind = next((kind for kind, members in MEMBERS.items() if key in members), None)
    if kind is not None and draw(st.integers(0, 2)) == 0:
        sets = tuple(draw(st.lists(sets_of(kind, _POOLS[row.field]), min_size=1, max_size=2)))
        if draw(st.booleans()):
            values, masks = (), ()
    return Condition(key, values, negated, masks, sets)


def _masks(pool: tuple[int, ...]) -> st.SearchStrategy[tuple[Masked, ...]]:
    """Few and simple masks: bits of the pool's numbers."""
    pair = st.tuples(st.sampled_from(pool), st.sampled_from(pool))
    one = pair.map(lambda numbers: Masked(numbers[0] & numbers[1], numbers[1]))
    return st.lists(one, max_size=3).map(lambda found: tuple(sorted(set(found))))


NUMBERS = count()


@st.composite
def sets_of(draw: st.DrawFn, kind: SetType, pool: tuple[int, ...]) -> Set:
    """A plain set of the type: single values alone, or prefixes as well, or nothing."""
    bits = FORMS[kind].bits
    some = draw(intervals(pool, bits)) if draw(st.booleans()) else ()
    entries = Plain(FORMS[kind], Budget())
    for one in some:
        entries.add([[*prefixes(one, bits)]], LOCATION)
    singles = draw(st.lists(st.sampled_from(pool), max_size=4))
    entries.exact.update(singles)
    return _set(kind, (), (bits,), entries)


@st.composite
def composites(draw: st.DrawFn) -> Set:
    """A set of two to four keys that a frame may have together."""
    keys: list[str] = []
    for key in draw(st.lists(st.sampled_from(COMPOSABLE), min_size=2, max_size=6, unique=True)):
        fits = not any(exclude(KEYS[key], KEYS[other]) for other in keys)
        width = sum(padded(KEYS[one].bits) for one in (*keys, key))
        if fits and len(keys) < 4 and width <= 288:
            keys.append(key)
    if len(keys) < 2:
        keys = ["ip4.saddr", draw(st.sampled_from(("tcp.dport", "meta.l4_proto", "ether.saddr")))]
    entries = Composite(keys, [KEYS[key].form for key in keys], Budget())
    last = draw(st.integers(0, len(keys) - 1))
    for _ in range(draw(st.integers(0, 5))):
        parts: list[list[tuple[int, int]]] = []
        for index, key in enumerate(keys):
            bits = KEYS[key].bits
            number = draw(st.sampled_from(_POOLS[FIELDS[key].field])) & (1 << bits) - 1
            length = bits
            if index == last and draw(st.booleans()):
                length = draw(st.integers(max(0, bits - 40), bits))
            parts.append([(number >> bits - length << bits - length, length)])
        entries.add(parts, LOCATION)
    return _set("composite", *entries.join(), entries)


def _set(kind: SetType, keys: tuple[str, ...], bits: tuple[int, ...], entries: Entries) -> Set:
    found = {length: frozenset(some) for length, some in sorted(entries.prefixes.items())}
    return Set(f"s{next(NUMBERS)}", kind, keys, bits, frozenset(entries.exact), found, LOCATION)


NEVER_OVER = Rate("packets", 1, 1, 1 << 40)
ALWAYS_OVER = Rate("bytes", 1, 1_000_000_000, 1)
"""Limits whose answer no clock changes: a frame has more bytes than one."""
ACTIONS: tuple[Action, ...] = (
    "count", "log", "pass", "pass", "drop", "drop", "tx", "redirect", "userspace", "limit",
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn, number: int, others: tuple[Policy, ...]) -> Rule:
    """Most with one or two conditions, and any action; `others` are what it may go on in."""
    found = tuple(draw(st.lists(conditions(), min_size=min(number % 7, 1), max_size=3)))
    action = draw(st.sampled_from((*ACTIONS, *(("policy",) if others else ()))))
    target, rate, into = "", None, None
    if action in ("redirect", "userspace"):
        target = draw(st.sampled_from(("one", "two")))
    elif action == "limit":
        rate = draw(st.sampled_from((NEVER_OVER, ALWAYS_OVER)))
    elif action == "policy":
        into = draw(st.sampled_from(others))
        target = into.name
    return Rule(str(number + 1), found, action, LOCATION, target, rate, into)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Up to as many rules as the rig can tell apart, and up to two policies that they lead to."""
    others: tuple[Policy, ...] = ()
    for name in ("third", "second")[: draw(st.sampled_from((0, 0, 1, 2)))]:
        others = (*others, draw(_policy(name, (1, 2, 5), others)))
    return draw(_policy("any", (1, 2, 3, 4, 6, 8, MAX_RULES), others))


@st.composite
def _policy(
    draw: st.DrawFn, name: str, sizes: tuple[int, ...], others: tuple[Policy, ...]
) -> Policy:
    size = draw(st.sampled_from(sizes))
    found = tuple(draw(rules(number, others)) for number in range(size))
    return Policy(name, draw(st.sampled_from(("pass", "drop"))), found, LOCATION)


@st.composite
def _l4(draw: st.DrawFn, protocol: int) -> bytes:
    port, small = numbers(PORTS, 16), numbers(SMALL, 8)
    if protocol in (frames.ICMP, frames.ICMPV6):
        return frames.icmp(draw(small), draw(small)) + draw(st.binary(max_size=4))
    if protocol == frames.TCP:
        return frames.tcp(draw(port), draw(port), draw(numbers(FLAGS, 8)))
    if protocol == frames.UDP:
        return frames.udp(draw(port), draw(port))
    return frames.sctp(draw(port), draw(port))


_COMMON = st.sampled_from((6, 6, 6, 17, 17, 1, 58, 132))


@st.composite
def _ip4(draw: st.DrawFn) -> bytes:
    protocol = draw(st.one_of(_COMMON, _COMMON, st.sampled_from(PROTOCOLS)))
    address = numbers(IP4, 32)
    return frames.ip4(
        protocol,
        draw(_l4(protocol)),
        saddr=draw(address),
        daddr=draw(address),
        options=bytes(4 * draw(st.sampled_from((0, 0, 0, 1, 10)))),
        offset=draw(st.sampled_from((0, 0, 0, 0, 1, 0x1FFF))),
        more=draw(st.booleans()),
        version=draw(st.sampled_from((4,) * 12 + (6, 0, 15))),
        service=draw(st.integers(0, 255)),
        ttl=draw(numbers(SMALL, 8)),
        words=draw(st.sampled_from((None,) * 12 + (0, 4, 15))),
    )


_EXTENSIONS = st.one_of(
    st.builds(frames.option, st.sampled_from((0, 43, 60)), st.sampled_from((0, 0, 1, 255))),
    st.builds(frames.ah, st.sampled_from((0, 1, 4, 255))),
    st.builds(frames.fragment, st.sampled_from((0, 0, 0, 1, 8191)), more=st.booleans()),
)


@st.composite
def _ip6(draw: st.DrawFn) -> bytes:
    protocol = draw(st.one_of(_COMMON, _COMMON, st.sampled_from(PROTOCOLS)))
    address = numbers(IP6, 128)
    most = draw(st.sampled_from((0, 0, 0, 2, 4, 9)))
    return frames.ip6(
        protocol,
        draw(_l4(protocol)),
        saddr=draw(address),
        daddr=draw(address),
        extensions=draw(st.lists(_EXTENSIONS, min_size=most // 2, max_size=most)),
        version=draw(st.sampled_from((6,) * 12 + (4, 0, 15))),
        service=draw(st.integers(0, 255)),
        label=draw(st.sampled_from((0, 0xFFFFF))),
        hops=draw(numbers(SMALL, 8)),
    )


def _arp() -> st.SearchStrategy[bytes]:
    kinds = ((1, 0x0800, 6, 4),) * 4 + ((1, 0x0800, 8, 4), (6, 0x0800, 6, 4), (1, 0x0806, 6, 4))
    address = numbers(IP4, 32)
    packet = st.builds(
        frames.arp, numbers(PORTS, 16), address, address, kind=st.sampled_from(kinds)
    )
    return st.builds(bytes.__add__, packet, st.sampled_from((b"", bytes(18))))


@st.composite
def any_frames(draw: st.DrawFn) -> bytes:
    """Frames of all sorts, every fourth cut short or with some bytes changed."""
    tags = draw(st.sampled_from((0, 0, 0, 1, 2, 3)))
    kind = draw(st.sampled_from(("ip4", "ip4", "ip4", "ip6", "ip6", "ip6", "arp", "any")))
    if kind == "ip4":
        number, payload = frames.IP4, draw(_ip4())
    elif kind == "ip6":
        number, payload = frames.IP6, draw(_ip6())
    elif kind == "arp":
        number, payload = frames.ARP, draw(_arp())
    else:
        number, payload = draw(st.sampled_from(TYPES)), draw(st.binary(max_size=80))
    control = st.builds(lambda rest, vlan: rest << 12 | vlan, st.integers(0, 15), numbers(IDS, 12))
    frame = frames.ethernet(
        number,
        payload,
        draw(st.lists(st.sampled_from(TAGS), min_size=tags, max_size=tags)),
        control=draw(st.lists(control, min_size=3, max_size=3)),
        saddr=draw(numbers(MACS, 48)),
        daddr=draw(numbers(MACS, 48)),
    )
    damage = draw(st.sampled_from(("none",) * 6 + ("cut", "flip")))
    if damage == "cut":
        frame = frame[: draw(st.integers(0, len(frame)))]
    elif damage == "flip":
        changed = bytearray(frame)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(12, len(frame) - 1))] = draw(st.integers(0, 255))
        frame = bytes(changed)
    return frame
