"""Hypothesis strategies: policies, and frames that such policies can tell apart.

Numbers of both come from the same few pools, so that hits, misses and near misses are all common.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from hypothesis import strategies as st

from tests.policies import frames
from tests.policies.rig import MAX_RULES
from xdpctl.policy.fields import FIELDS
from xdpctl.topology.keys import merged
from xdpctl.topology.model import Condition, Interval, Location, Policy, Rule

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
    """Any key, any values, negated or not."""
    key = draw(st.sampled_from(sorted(FIELDS)))
    row = FIELDS[key]
    values = draw(intervals(_POOLS[row.field], row.bits))
    return Condition(key, values, draw(st.booleans()))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Up to as many rules as the rig can tell apart; most with one or two conditions."""
    count = draw(st.sampled_from((1, 2, 3, 4, 6, 8, MAX_RULES)))
    rules = tuple(
        Rule(
            str(number + 1),
            tuple(draw(st.lists(conditions(), min_size=min(number % 7, 1), max_size=3))),
            draw(st.sampled_from(("count", "pass", "drop"))),
            LOCATION,
        )
        for number in range(count)
    )
    return Policy("any", draw(st.sampled_from(("pass", "drop"))), rules, LOCATION)


@st.composite
def _l4(draw: st.DrawFn, protocol: int) -> bytes:
    port, small = numbers(PORTS, 16), numbers(SMALL, 8)
    if protocol in (frames.ICMP, frames.ICMPV6):
        return frames.icmp(draw(small), draw(small)) + draw(st.binary(max_size=4))
    if protocol == frames.TCP:
        return frames.tcp(draw(port), draw(port))
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
    )


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
        number, payload = frames.ARP, frames.arp()
    else:
        number, payload = draw(st.sampled_from(TYPES)), draw(st.binary(max_size=80))
    frame = frames.ethernet(
        number, payload, draw(st.lists(st.sampled_from(TAGS), min_size=tags, max_size=tags))
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
