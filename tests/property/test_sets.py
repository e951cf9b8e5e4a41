"""A set has exactly what its entries say, whatever their order and spelling."""

import io
import ipaddress
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdpctl.topology import set_lines
from xdpctl.topology.form import Form
from xdpctl.topology.key_addresses import Address, Mac
from xdpctl.topology.keys import KEYS
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Interval, Location, Set
from xdpctl.topology.set_composite import Composite, Entries
from xdpctl.topology.set_types import COMPOSABLE, FORMS, Budget, Plain, prefixes, read

HERE = Location("t", 1, 1)
Draw = Callable[[Any], Any]


@st.composite
def intervals(draw: st.DrawFn, bits: int) -> Interval:
    """Single numbers, prefixes, and anything; ends of the field among them."""
    top = (1 << bits) - 1
    low = draw(st.one_of(st.integers(0, top), st.sampled_from([0, 1, top - 1, top])))
    kind = draw(st.sampled_from(["single", "prefix", "near", "any"]))
    if kind == "single":
        return Interval(low, low)
    if kind == "prefix":
        host = draw(st.integers(0, bits))
        return Interval(low >> host << host, low | (1 << host) - 1)
    far = top if kind == "any" else min(top, low + 40)
    return Interval(low, draw(st.integers(low, far)))


def spelled(draw: Draw, form: Form, one: Interval) -> str:
    """An interval as people write it."""
    size = one.high - one.low + 1
    host = size.bit_length() - 1
    is_prefix = size == 1 << host and one.low % size == 0
    ends = [_text(form, end) for end in (one.low, one.high)]
    choices = ["-".join(ends)]
    if size == 1:
        choices.append(ends[0])
    if is_prefix and isinstance(form, Address | Mac):
        choices.append(f"{ends[0]}/{form.bits - host}")
    return str(draw(st.sampled_from(choices)))


def _text(form: Form, number: int) -> str:
    if isinstance(form, Mac):
        return number.to_bytes(6, "big").hex(":")
    if isinstance(form, Address):
        family = ipaddress.IPv4Address if form.version == 4 else ipaddress.IPv6Address
        return str(family(number))
    return str(number)


@given(st.data(), st.sampled_from([1, 6, 16, 32, 48, 128]))
@settings(max_examples=150, deadline=None)
def test_prefixes_are_the_interval_and_few(data: st.DataObject, bits: int) -> None:
    one = data.draw(intervals(bits))
    found = [*prefixes(one, bits)]
    assert len(found) <= max(1, 2 * bits - 2)
    at = one.low
    for number, length in found:
        assert number == at
        assert number % (1 << bits - length) == 0
        at += 1 << bits - length
    assert at == one.high + 1
    # None can be joined with its neighbour: there is no shorter list.
    for (first, length), (_, after) in pairwise(found):
        assert length != after or first % (1 << bits - length + 1)


def probes(draw: Draw, spans: list[Interval], bits: int) -> int:
    """A number at or beside an end, or anywhere."""
    ends = [one.low for one in spans] + [one.high for one in spans] or [0]
    near = draw(st.sampled_from(ends)) + draw(st.integers(-1, 1))
    number = draw(st.one_of(st.just(near), st.integers(0, (1 << bits) - 1)))
    return int(min(max(number, 0), (1 << bits) - 1))


@given(st.data(), st.sampled_from(sorted(FORMS)))
@settings(max_examples=150, deadline=None)
def test_a_plain_set_has_what_its_entries_say(data: st.DataObject, kind: Any) -> None:
    form = FORMS[kind]
    spans = data.draw(st.lists(intervals(form.bits), max_size=6))
    texts = [spelled(data.draw, form, one) for one in spans]
    entries = ", ".join(f'"{text}"' for text in texts)
    header = "version: 1\nname: t\ndevices: {}\n"
    text = f"{header}sets: {{a: {{type: {kind}, entries: [{entries}]}}}}\n"
    found = load_texts({"t": text}).sets["a"]
    for _ in range(8):
        number = probes(data.draw, spans, form.bits)
        assert (number in found) == any(number in one for one in spans)


@given(st.data(), st.lists(st.sampled_from(COMPOSABLE), unique=True, min_size=2, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_composite_set_has_what_its_entries_say(data: st.DataObject, keys: list[str]) -> None:
    """Keys that no frame has together are as good as any here."""
    composite = Composite(tuple(keys), [KEYS[key].form for key in keys], Budget())
    large = data.draw(st.integers(0, len(keys) - 1))
    entries = []
    for _ in range(data.draw(st.integers(0, 5))):
        spans = []
        for index, form in enumerate(composite.forms):
            span = data.draw(intervals(form.bits))
            if index != large:
                span = Interval(span.low, min(span.high, span.low + 8))
            spans.append(span)
        entries.append(spans)
        texts = [spelled(data.draw, *each) for each in zip(composite.forms, spans, strict=True)]
        composite.add(read(composite.names, composite.forms, texts), HERE)
    order, bits = composite.join()
    found = Set("a", "composite", order, bits, frozenset(composite.exact),
                {length: frozenset(some) for length, some in composite.prefixes.items()},
                HERE)  # fmt: skip
    assert sorted(order) == sorted(keys)
    assert all(length >= found.width - bits[-1] for length in found.prefixes)
    for _ in range(8):
        values = [probes(data.draw, [spans[index] for spans in entries], form.bits)
                  for index, form in enumerate(composite.forms)]  # fmt: skip
        number = 0
        for key, width in zip(order, bits, strict=True):
            number = number << width | values[keys.index(key)]
        inside = any(all(value in span for value, span in zip(values, spans, strict=True))
                     for spans in entries)  # fmt: skip
        assert (number in found) == inside


JUNK = [
    "", "#", "# x", "x", "10.0.0.1/8", "1.2.3.4 5 6", "::1%lo", "1.2.3.4.5", "01.2.3.4", "080",
    "+80", "1_0", "٣", "65535", "65536", "70000", "http", "1.2.3.4/024", "1.2.3.4/", "/8", "-",
    "1.2.3.4-", "!80", "02:00:00:00:00", "0200:00:00:0001", "02:00:00:00:00:0g", "::1/0", "\x0b",
    "10.0.0.1;80", "10.0.0.1 ; 80", "1.2.3.4\0", "1.2.3.4 .", ". 80", ", ,", "10.0.0.1 80 ;",
    "; 10.0.0.1 80", "10.0.0.1 80 ; 10.0.0.1 80", "10.0.0.1 080", "10.0.0.1 65536", "0x50",
    "10.0.0.1/8 80", "10.0.0.1 http", "10.0.0.1", "80", "10.0.0.1 80 90", "1.2.3.0/255.255.255.0",
    "2.2.2.2-1.1.1.1", "broadcast", "::ffff:1.2.3.4", "1::2::3", "1.2.3.4 . . 80", "00080",
]  # fmt: skip
KINDS: dict[tuple[str, ...], str] = {
    ("ip4",): "1.2.3.4", ("ip6",): "::1", ("ether",): "02:00:00:00:00:01", ("port",): "80",
    ("ip4.saddr", "tcp.dport"): "1.2.3.4 80", ("tcp.dport", "ip6.saddr"): "80 ::1",
    ("ether.saddr", "ip4.dscp", "ip4.saddr"): "02:00:00:00:00:01 46 1.2.3.4",
}  # fmt: skip
"""Types of sets, and a right line of each."""


@st.composite
def lines(draw: st.DrawFn, forms: list[Form]) -> str:
    """A line of a file of entries, right or wrong."""
    values = [spelled(draw, form, draw(intervals(form.bits))) for form in forms]
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(JUNK))
    gap = draw(st.sampled_from([" ", "  ", "\t", ",", ", ", " . "]))
    before, after = draw(st.sampled_from([("", ""), (" ", " "), ("", " # x"), ("", "#")]))
    return before + gap.join(values) + after


def made(keys: tuple[str, ...]) -> Entries:
    if len(keys) == 1:
        return Plain({**FORMS}[keys[0]], Budget())  # type: ignore[index]
    return Composite(keys, [KEYS[key].form for key in keys], Budget())


def gathered(keys: tuple[str, ...], text: str, *, one_by_one: bool) -> list[Any]:
    """The entries of a file, and what is told of it."""
    problems: list[tuple[Location, str]] = []

    def told(place: Location, message: str) -> bool:
        problems.append((place, message))
        return True

    entries = made(keys)
    if one_by_one:
        for number, line in enumerate(text.split("\n"), 1):
            set_lines._line(line, Location("f", number, 1), entries, told)
    else:
        set_lines.gather(io.StringIO(text), "f", entries, told)
    found: list[Any] = [entries.exact, entries.prefixes, problems]
    if isinstance(entries, Composite):
        groups = {lengths: some for lengths, some in entries.groups.items() if some}
        found += [groups, entries.blocked]
    return found


@given(st.data(), st.sampled_from([*KINDS]))
@settings(max_examples=150, deadline=None)
def test_many_lines_are_read_as_each_by_itself(data: st.DataObject, keys: tuple[str, ...]) -> None:
    written = data.draw(st.lists(lines([*made(keys).forms]), max_size=30))
    text = "".join(line + data.draw(st.sampled_from(["\n", "\n\n"])) for line in written)
    assert gathered(keys, text, one_by_one=False) == gathered(keys, text, one_by_one=True)


@pytest.mark.parametrize("keys", KINDS)
def test_an_odd_line_is_read_as_by_itself(keys: tuple[str, ...]) -> None:
    """Whatever two odd lines are, they are not taken for right ones when they come in a block."""
    right = KINDS[keys]
    for one in JUNK:
        for other in (right, *JUNK):
            text = "\n".join([right, one, other, right])
            assert gathered(keys, text, one_by_one=False) == gathered(keys, text, one_by_one=True)
