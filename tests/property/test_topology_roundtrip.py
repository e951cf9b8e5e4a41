"""Any topology, written as YAML in any of its spellings, loads as itself, and fits the schema."""

import io
import ipaddress
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from xdpctl.topology.key_forms import Address, Form, Mac, Number
from xdpctl.topology.keys import KEYS
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Device, Flood, Interval, Policy, Topology, Xdp
from xdpctl.topology.schema import schema

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


@st.composite
def matches(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, tuple[Interval, ...], bool]]]:
    """A rule's `match` and the conditions that it means."""
    family, transport = draw(st.sampled_from(["ip4", "ip6"])), draw(st.sampled_from(["tcp", "udp"]))
    names = [
        key.name
        for key in KEYS.values()
        if isinstance(key.form, Number | Address | Mac)
        and key.guards in ("", "ip", "ports", family, transport)
    ]
    written_as: dict[str, Any] = {}
    meant = []
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=4)):
        key = KEYS[name]
        spans = draw(intervals(key.bits))
        negated = draw(st.booleans())
        texts = ["!" * negated + value_text(key.form, one) for one in spans]
        written_as[name] = draw(st.permutations(texts)) if len(texts) > 1 else texts[0]
        meant.append((name, spans, negated))
    return written_as, meant


@st.composite
def policies(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[str, list[Any]]]:
    """A policy as written, and (default, rules) as meant."""
    rules, meant = [], []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        match, conditions = draw(matches())
        action = draw(st.sampled_from(["pass", "drop", "count"]))
        name = draw(st.sampled_from([None, f"rule {number}", str(number), f"n{number}"]))
        rule = {"match": match, "action": action} | ({} if name is None else {"name": name})
        rules.append(rule)
        meant.append((name or str(number), conditions, action))
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
def topologies(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A document; the devices and the policies that it means."""
    written_policies: dict[str, Any] = {}
    meant_policies: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True)):
        written_policies[name], meant_policies[name] = draw(policies())
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
    return document, meant_devices, meant_policies


def check_policy(found: Policy, meant: tuple[str, list[Any]]) -> None:
    default, rules = meant
    assert found.default == default
    assert [(rule.name, rule.action) for rule in found.rules] == [
        (name, action) for name, _, action in rules
    ]
    for rule, (_, conditions, _) in zip(found.rules, rules, strict=True):
        got = [(one.key, one.intervals, one.negated) for one in rule.conditions]
        assert sorted(got, key=str) == sorted(conditions, key=str)


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_a_document_means_what_it_says(case: tuple[dict[str, Any], Any, Any]) -> None:
    document, devices, found_policies = case
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    topology = load_texts({"t": written(document)})
    assert next(iter(topology.devices)) == "eth0"
    assert set(topology.devices) == {"eth0", *devices}
    for name, (properties, xdp) in devices.items():
        device = topology.devices[name]
        assert (device.properties, device.xdp, device.parent) == (properties, xdp, "eth0")
    assert set(topology.policies) == set(found_policies)
    for name, meant in found_policies.items():
        check_policy(topology.policies[name], meant)


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
