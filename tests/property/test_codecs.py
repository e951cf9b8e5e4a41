"""parse → encode → decode gives the canonical value back, for every row of every table."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdpctl.host.attributes import attribute, index
from xdpctl.host.decode import of_kind, of_port
from xdpctl.host.links import encode, merged
from xdpctl.topology.address import Addresses, Mac, Reference
from xdpctl.topology.codecs import Bit, Enum, Flag, FlagSet, Number, Presence, Timer
from xdpctl.topology.kinds import KINDS, port_table, table
from xdpctl.topology.kinds.macvlan import SourceAddresses
from xdpctl.topology.kinds.tap import Account
from xdpctl.topology.kinds.team import Word
from xdpctl.topology.kinds.veth import Peer
from xdpctl.topology.kinds.vlan import QosMap
from xdpctl.topology.kinds.vxlan import Endpoint, Flowlabel, OrInherit, PortRange
from xdpctl.topology.model import Value
from xdpctl.topology.property import Place, Property
from xdpctl.topology.raw import each

ROWS = {(kind, row.name): row for kind in KINDS for row in table(kind).values()}
ROWS |= {(f"{kind} port", row.name): row for kind in KINDS for row in port_table(kind).values()}
macs = st.binary(min_size=6, max_size=6).filter(lambda raw: not raw[0] & 1 and any(raw))
spelled_macs = macs.flatmap(lambda raw: st.sampled_from([raw.hex(":"), raw.hex("-").upper()]))
names = st.text("abcdefghij0123456789-_", min_size=1, max_size=15)


def numbers(low: int, high: int) -> st.SearchStrategy[object]:
    one = st.integers(low, high)
    return st.one_of(one, one.map(str), one.filter(lambda n: n >= 0).map(hex)) if high > 0 else one


def qos(codec: QosMap) -> st.SearchStrategy[object]:
    halves = (st.integers(0, highest) for highest in codec.highest)
    pairs = st.dictionaries(*halves, max_size=8)
    return st.one_of(pairs, pairs.map(lambda found: [f"{a}:{b}" for a, b in found.items()]))


def ports() -> st.SearchStrategy[object]:
    two = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted)
    return st.one_of(two, two.map(lambda one: f"{one[0]}-{one[1]}"))


SWITCHES = st.sampled_from([True, False, "on", "off", "yes", "no", 1, 0, "1", "0"])
RAWS: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    Presence: lambda _: st.just(True),
    Flag: lambda _: SWITCHES,
    Bit: lambda codec: st.sampled_from(codec.words) if codec.words else SWITCHES,
    Number: lambda codec: numbers(codec.low, codec.high),
    Timer: lambda codec: numbers(codec.low, codec.high),
    Word: lambda codec: st.sampled_from(codec.words),
    Enum: lambda codec: st.sampled_from([*codec.names, *codec.names.values()]),
    FlagSet: lambda codec: st.lists(st.sampled_from([*codec.names])),
    Mac: lambda _: spelled_macs,
    SourceAddresses: lambda _: st.lists(spelled_macs, max_size=20),
    Addresses: lambda codec: st.lists(
        st.ip_addresses(v=codec.version).map(str), max_size=codec.limit
    ),
    QosMap: qos,
    Endpoint: lambda _: st.one_of(st.ip_addresses().map(str), st.just("any")),
    OrInherit: lambda codec: st.one_of(
        numbers(0, codec.high), st.sampled_from(["inherit", *codec.names])
    ),
    Flowlabel: lambda codec: st.one_of(numbers(0, codec.high), st.just("inherit")),
    PortRange: lambda _: ports(),
    Account: lambda _: numbers(0, 2**32 - 2),
    Peer: lambda _: names,
    Reference: lambda _: st.integers(1, 2**31 - 1),
}
"""What YAML may give, by codec."""


def raws(codec: object) -> st.SearchStrategy[Any]:
    return RAWS[type(codec)](codec)


def through_the_kernel(kind: str, row: Property, value: Value) -> Value:
    """What a dump would show if the kernel kept the attributes as they were sent."""
    index_ = {str(value): value} if isinstance(row.codec, Reference) else {}
    sent = index(b"".join(encode([(row, value)], index_)))  # type: ignore[arg-type]
    if row.place is Place.PORT:
        return of_port(kind.removesuffix(" port")).read(sent)[row.name]
    if row.place is Place.DATA:
        return of_kind(kind).read(sent)[row.name]
    if isinstance(row.codec, Bit):
        return row.codec.decode(row.codec.encode(value))
    return row.codec.decode(sent[row.attribute])  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "name"), ROWS, ids=lambda one: str(one))
@given(data=st.data())
def test_a_value_survives_the_way_to_the_kernel_and_back(
    kind: str, name: str, data: st.DataObject
) -> None:
    row = ROWS[kind, name]
    raw = data.draw(raws(row.codec))
    value = raw if isinstance(row.codec, Reference) else row.codec.parse(raw)
    assert through_the_kernel(kind, row, value) == value
    if not isinstance(row.codec, Reference):
        assert row.codec.parse(value) == value, "a canonical value is its own spelling"


@given(data=st.data(), name=st.sampled_from(["ingress-qos-map", "egress-qos-map"]))
def test_a_map_that_the_kernel_merges_ends_as_it_was_asked_for(
    data: st.DataObject, name: str
) -> None:
    row = table("vlan")[name]
    before = row.codec.parse(data.draw(raws(row.codec)))
    after = row.codec.parse(data.draw(raws(row.codec)))
    sent = merged(row, before, after)
    assert isinstance(before, tuple)
    assert isinstance(sent, tuple)
    kernel: dict[Value, Value] = {each(one)[0]: each(one)[1] for one in (*before, *sent)}
    assert {(one, other) for one, other in kernel.items() if other} == set(each(after))


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=50), max_size=20))
def test_attributes_are_found_again(attributes: dict[int, bytes]) -> None:
    buffer = b"".join(attribute(number, payload) for number, payload in attributes.items())
    assert len(buffer) % 4 == 0
    assert index(buffer) == attributes


@given(st.binary(max_size=200))
def test_no_bytes_make_the_walk_fail_or_run_away(buffer: bytes) -> None:
    found = index(buffer)
    assert sum(len(payload) + 4 for payload in found.values()) <= len(buffer)


@given(st.binary(max_size=64), st.integers(0, 16))
def test_a_length_that_makes_no_sense_ends_the_walk(rest: bytes, size: int) -> None:
    buffer = attribute(7, b"seen") + struct.pack("=HH", size % 4, 8) + rest
    assert index(buffer) == {7: b"seen"}
