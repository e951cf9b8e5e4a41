"""Any topology, written as YAML in any of its spellings, loads as itself, and fits the schema."""

import io
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from xdpctl.topology.form import Form
from xdpctl.topology.key_addresses import Address, Mac
from xdpctl.topology.key_forms import Number
from xdpctl.topology.keys import KEYS
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import (
    COMPOSITE,
    Device,
    Flood,
    Interval,
    Policy,
    Rate,
    Set,
    Topology,
    Xdp,
)
from xdpctl.topology.rates import SECOND
from xdpctl.topology.schema import schema
from xdpctl.topology.set_types import FORMS, MEMBERS

VALIDATOR = Draft7Validator(schema())
FLOODS: list[Flood] = ["enforce", "pass", "drop"]
VERDICTS = st.sampled_from(["pass", "drop"])


def written(document: Any) -> str:
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(document, stream)
    return stream.getvalue()


def number_text(draw: st.DrawFn, number: int) -> int | str:
    """A number as people write it."""
    spellings: list[int | str] = [number, str(number), hex(number)]
    return draw(st.sampled_from(spellings))


@st.composite
def intervals(draw: st.DrawFn, bits: int, *, most: int = 4) -> tuple[Interval, ...]:
    """Sorted and disjoint, never neighbours."""
    high = (1 << bits) - 1
    ends = sorted(draw(st.sets(st.integers(0, high), min_size=2, max_size=2 * most)))
    pairs = zip(ends[::2], ends[1::2], strict=False)
    found: list[Interval] = []
    for low, up in pairs:
        if not found or low > found[-1].high + 1:
            found.append(Interval(low, up))
    return tuple(found)


def value_text(form: Form, one: Interval) -> str:
    if isinstance(form, Mac):
        return "-".join(end.to_bytes(6, "big").hex(":") for end in (one.low, one.high))
    if isinstance(form, Address):
        address = ipaddress.IPv4Address if form.version == 4 else ipaddress.IPv6Address
        return f"{address(one.low)}-{address(one.high)}"
    return f"{one.low}-{one.high}"


@dataclass(frozen=True)
class MeantSet:
    """What a set has: of each entry the interval of each value."""

    keys: tuple[str, ...]
    type: str
    entries: tuple[tuple[Interval, ...], ...]


@st.composite
def sets(draw: st.DrawFn) -> tuple[dict[str, Any], MeantSet]:
    """A set as written, and as meant; of a composite one the last value may be a large range."""
    kind = draw(st.sampled_from([*FORMS, "composite"]))
    keys: tuple[str, ...] = ()
    if kind == "composite":
        keys = draw(st.sampled_from([("ip4.saddr", "tcp.dport"), ("udp.sport", "ip6.daddr"),
                                     ("ether.saddr", "ip4.proto", "ip4.daddr")]))  # fmt: skip
    forms = [KEYS[key].form for key in keys] or [FORMS[kind]]
    written_as: list[Any] = []
    meant: list[tuple[Interval, ...]] = []
    for _ in range(draw(st.integers(0, 4))):
        spans = []
        for form in forms:
            span = draw(intervals(form.bits, most=1))[0]
            if form is not forms[-1]:
                span = Interval(span.low, min(span.high, span.low + 2))
            spans.append(span)
        texts = [value_text(form, one) for form, one in zip(forms, spans, strict=True)]
        spellings = [texts, " ".join(texts), " . ".join(texts), ", ".join(texts)]
        written_as.append(draw(st.sampled_from(spellings)) if keys else texts[0])
        meant.append(tuple(spans))
    entry = {"type": list(keys) or kind, "entries": written_as}
    return entry, MeantSet(keys, kind, tuple(meant))


@st.composite
def matches(
    draw: st.DrawFn, known: Mapping[str, MeantSet]
) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """A rule's `match` and the conditions that it means."""
    family, transport = draw(st.sampled_from(["ip4", "ip6"])), draw(st.sampled_from(["tcp", "udp"]))
    guards = ("", "ip", "ports", family, transport)
    names = [
        key.name
        for key in KEYS.values()
        if isinstance(key.form, Number | Address | Mac) and key.guards in guards
    ]
    written_as: dict[str, Any] = {}
    meant: list[tuple[Any, ...]] = []
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=4)):
        key = KEYS[name]
        spans = draw(intervals(key.bits))
        negated = draw(st.booleans())
        fitting = [one for one, found in known.items() if name in MEMBERS.get(found.type, ())]  # type: ignore[call-overload]
        among: list[str] = draw(st.lists(st.sampled_from(fitting), unique=True)) if fitting else []
        texts = [value_text(key.form, one) for one in spans] + [f"@{one}" for one in among]
        texts = ["!" * negated + text for text in texts]
        written_as[name] = draw(st.permutations(texts)) if len(texts) > 1 else texts[0]
        meant.append((name, spans, negated, set(among), ()))
    composite = [
        one for one, found in known.items()
        if found.keys and all(KEYS[each].guards in guards for each in found.keys)
    ]  # fmt: skip
    is_joined: bool = draw(st.booleans())
    if composite and is_joined:
        name, negated = draw(st.sampled_from(composite)), draw(st.booleans())
        gap = draw(st.sampled_from([", ", " . ", "+"]))
        joined = draw(st.sampled_from([COMPOSITE, gap.join(known[name].keys)]))
        written_as[joined] = "!" * negated + f"@{name}"
        meant.append((COMPOSITE, (), negated, {name}, ()))
    if draw(st.booleans()):
        negated, none = draw(st.booleans()), draw(st.booleans())
        ports = ["!" * negated + text for text in ["eth0", *(["none"] if none else [])]]
        written_as["meta.port"] = ports if none else ports[0]
        meant.append(("meta.port", (Interval(0, 0),) if none else (), negated, set(), ("eth0",)))
    return written_as, meant


@st.composite
def limits(draw: st.DrawFn) -> tuple[Any, Rate]:
    """A rate as written, with its burst in any place, and as meant."""
    amount, burst = draw(st.integers(1, 1_000_000)), draw(st.integers(1, 1_000_000))
    unit, period = draw(st.sampled_from([("second", 1), ("min", 60), ("hour", 3600), ("d", 86400)]))
    form = draw(st.sampled_from(["packets", "bytes", "kbit"]))
    text = {
        "packets": f"{amount}/{unit}",
        "bytes": f"{amount} bytes/{unit}",
        "kbit": f"{amount}kbit",
    }
    rate = Rate("packets", amount, period * SECOND, burst)
    if form == "bytes":
        rate = replace(rate, unit="bytes")
    elif form == "kbit":
        rate = Rate("bytes", amount * 125, SECOND, burst)
    one = text[form]
    ways: list[Any] = [
        {"limit": f"{one} burst {burst}"},
        {"limit": one, "burst": burst},
        {"limit": {"rate": one, "burst": str(burst)}},
    ]
    return draw(st.sampled_from(ways)), rate


@st.composite
def actions(draw: st.DrawFn, further: list[str]) -> tuple[Any, tuple[str, str, Rate | None]]:
    """An action as written, and (action, target, rate) as meant. `further`: where to go on."""
    kinds = ["pass", "drop", "count", "tx", "log", "redirect", "userspace", "limit"]
    kind = draw(st.sampled_from([*kinds, *(["policy"] if further else [])]))
    if kind == "limit":
        written_as, rate = draw(limits())
        return written_as, ("limit", "", rate)
    targets = {"redirect": ["eth0"], "userspace": ["ids", "0"], "policy": further}
    if kind not in targets:
        return kind, (kind, "", None)
    target = draw(st.sampled_from(targets[kind]))
    return {kind: target}, (kind, target, None)


@st.composite
def policies(
    draw: st.DrawFn, known: Mapping[str, MeantSet], further: list[str]
) -> tuple[dict[str, Any], tuple[str, list[Any]]]:
    """A policy as written, and (default, rules) as meant."""
    rules, meant = [], []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        match, conditions = draw(matches(known))
        action, meant_action = draw(actions(further))
        name = draw(st.sampled_from([None, f"rule {number}", str(number), f"n{number}"]))
        rule = {"match": match, "action": action} | ({} if name is None else {"name": name})
        rules.append(rule)
        meant.append((name or str(number), conditions, meant_action))
    default = draw(VERDICTS)
    return {"default": default, "rules": rules}, (default, meant)


@st.composite
def macvlans(draw: st.DrawFn, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A macvlan's keys as written, and its properties as meant."""
    mode = draw(st.sampled_from(["private", "vepa", "bridge"]))
    address = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
    mtu = draw(st.integers(68, 1500))
    keys: dict[str, Any] = {
        "mode": draw(st.sampled_from([mode, {"private": 1, "vepa": "2", "bridge": 4}[mode]])),
        "address": draw(st.sampled_from([address, address.replace(":", "-"), address.upper()])),
        "mtu": number_text(draw, mtu),
        "state": draw(st.sampled_from(["up", "down"])),
    }
    meant = {"mode": mode, "address": address, "mtu": mtu, "state": keys["state"]}
    dropped = draw(st.sets(st.sampled_from(["mode", "mtu", "state"])))
    for name in dropped:
        del keys[name], meant[name]
    return keys, meant


@st.composite
def topologies(
    draw: st.DrawFn,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, MeantSet]]:
    """A document; the devices, the policies and the sets that it means."""
    written_sets: dict[str, Any] = {}
    meant_sets: dict[str, MeantSet] = {}
    for name in draw(st.lists(st.sampled_from("stuv"), unique=True)):
        written_sets[name], meant_sets[name] = draw(sets())
    written_policies: dict[str, Any] = {}
    meant_policies: dict[str, Any] = {}
    names = draw(st.lists(st.sampled_from("abcd"), unique=True))
    for index, name in enumerate(names):
        found = draw(policies(meant_sets, names[index + 1 :]))
        written_policies[name], meant_policies[name] = found
    devices: dict[str, Any] = {"eth0": {"kind": "physical", "mtu": 1500}}
    meant_devices: dict[str, Any] = {}
    for number in range(draw(st.integers(0, 6))):
        keys, meant = draw(macvlans(number))
        xdp = None
        if meant_policies:
            policy = draw(st.sampled_from(sorted(meant_policies)))
            flood = draw(st.sampled_from(FLOODS))
            xdp = Xdp(policy, draw(st.booleans()), flood=flood)
            keys["xdp"] = {"policy": policy, "flood": flood, "enabled": xdp.enabled}
        name = f"m{number}"
        devices[name] = {"kind": "macvlan", "parent": "eth0"} | keys
        meant_devices[name] = (meant, xdp)
    shuffled = dict(draw(st.permutations(list(devices.items()))))
    document = {"version": 1, "name": "t", "devices": shuffled, "policies": written_policies}
    if written_sets:
        document["sets"] = written_sets
    return document, meant_devices, meant_policies, meant_sets


def check_policy(topology: Topology, found: Policy, meant: tuple[str, list[Any]]) -> None:
    default, rules = meant
    assert found.default == default
    for rule, (name, conditions, (action, target, rate)) in zip(found.rules, rules, strict=True):
        assert (rule.name, rule.action, rule.target, rule.rate) == (name, action, target, rate)
        assert rule.into is (topology.policies[target] if action == "policy" else None)
        got = [
            (one.key, one.intervals, one.negated, {each.name for each in one.sets}, one.devices)
            for one in rule.conditions
        ]
        assert sorted(got, key=str) == sorted(conditions, key=str)
        for one in rule.conditions:
            assert all(each is topology.sets[each.name] for each in one.sets)


def check_set(found: Set, meant: MeantSet) -> None:
    """Both ends of each entry are in it; what lies beside them is where an entry has it."""
    assert (found.type, sorted(found.keys)) == (meant.type, sorted(meant.keys))
    places = [meant.keys.index(key) for key in found.keys] or [0]
    for entry in meant.entries:
        for move in (-1, 0, 1):
            values = [(one.low if move < 0 else one.high) + move for one in entry]
            joined, inside = (
                0,
                any(
                    all(value in one for value, one in zip(values, each, strict=True))
                    for each in meant.entries
                ),
            )
            for place, width in zip(places, found.bits, strict=True):
                joined = joined << width | values[place]
            if all(0 <= values[place] < 1 << width
                   for place, width in zip(places, found.bits, strict=True)):  # fmt: skip
                assert (joined in found) == inside


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_a_document_means_what_it_says(case: tuple[dict[str, Any], Any, Any, Any]) -> None:
    document, devices, found_policies, found_sets = case
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    topology = load_texts({"t": written(document)})
    assert next(iter(topology.devices)) == "eth0"
    assert set(topology.devices) == {"eth0", *devices}
    for name, (properties, xdp) in devices.items():
        device = topology.devices[name]
        assert (device.properties, device.xdp, device.parent) == (properties, xdp, "eth0")
    assert set(topology.policies) == set(found_policies)
    for name, meant in found_policies.items():
        check_policy(topology, topology.policies[name], meant)
    assert set(topology.sets) == set(found_sets)
    for name, meant in found_sets.items():
        check_set(topology.sets[name], meant)


def bare(topology: Topology) -> dict[str, Device]:
    """The devices without their places."""
    where = next(iter(topology.devices.values())).location
    return {name: replace(device, location=where) for name, device in topology.devices.items()}


@given(
    low=st.integers(0, 1100),
    count=st.integers(1, 40),
    padded=st.booleans(),
    base=st.integers(0x020000000000, 0x02FFFFFF0000),
)
@settings(max_examples=60, deadline=None)
def test_a_range_is_its_devices_written_singly(
    low: int, count: int, padded: bool, base: int
) -> None:
    high = low + count - 1
    width = len(str(high)) if padded else 1
    head = {"version": 1, "name": "t"}
    root = {"eth0": {"kind": "physical"}}
    common = {"kind": "macvlan", "parent": "eth0"}
    text = base.to_bytes(6, "big").hex(":")
    ranged = {f"t[{low:0{width}d}-{high:0{width}d}]": common | {"address": {"base": text}}}
    singly = {
        f"t{number:0{width}d}": common | {"address": (base + number).to_bytes(6, "big").hex(":")}
        for number in range(low, high + 1)
    }
    one = load_texts({"t": written(head | {"devices": root | ranged})})
    other = load_texts({"t": written(head | {"devices": root | singly})})
    assert bare(one) == bare(other)


@given(st.lists(st.integers(0, 7), min_size=2, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_lower_devices_come_first_and_files_may_be_split(parents: list[int], random: Any) -> None:
    """vlan on vlan on vlan, in any order and over two files."""
    devices: dict[str, Any] = {"v0": {"kind": "dummy"}}
    for number, parent in enumerate(parents, 1):
        below = f"v{min(parent, number - 1)}"
        devices[f"v{number}"] = {"kind": "vlan", "parent": below, "id": number}
    items = list(devices.items())
    random.shuffle(items)
    half = len(items) // 2
    first = {"version": 1, "name": "t", "devices": dict(items[:half])}
    topology = load_texts({"a": written(first), "b": written({"devices": dict(items[half:])})})
    order = list(topology.devices)
    for name, device in topology.devices.items():
        if device.parent is not None:
            assert order.index(device.parent) < order.index(name)
    assert len(order) == len(items)
