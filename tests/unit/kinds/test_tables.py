"""The tables of the kinds hang together."""

from __future__ import annotations

import re
from typing import get_args

import jsonschema
import pytest

from xdpctl.topology.codecs import Bit, FlagSet, Timer
from xdpctl.topology.kinds import COMMON, KINDS, find, port_table, table
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Composite, Place, Property

ROWS = [(kind, row) for kind in KINDS for row in table(kind).values()]
ROWS += [(f"{kind} port", row) for kind in KINDS for row in port_table(kind).values()]
IDS = [f"{kind}-{row.name}" for kind, row in ROWS]


def test_the_kinds_of_the_file_format() -> None:
    expected = "physical macvlan macvtap veth bridge vlan bond team tap dummy vxlan"
    assert list(KINDS) == expected.split()
    assert all(kind.name == name for name, kind in KINDS.items())
    assert {name for name, kind in KINDS.items() if kind.has_parent} == {
        "macvlan",
        "macvtap",
        "vlan",
    }
    assert {name for name, kind in KINDS.items() if kind.has_ports} == {
        "bond",
        "bridge",
        "team",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_what_every_device_has(kind: str) -> None:
    hidden = {"group"} if kind == "vxlan" else set()
    assert {row.name for row in COMMON} - hidden <= set(table(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_rows_of_a_level_share_an_attribute(kind: str) -> None:
    for place in set(Place) - {Place.OPTION, Place.PORT_OPTION}:  # there it is a type
        taken: set[int] = set()
        for row in [*table(kind).values(), *port_table(kind).values()]:
            if row.place is not place or isinstance(row.codec, Bit):
                continue
            numbers = set(
                row.codec.attributes if isinstance(row.codec, Composite) else [row.attribute]
            )
            assert not numbers & taken, row.name
            taken |= numbers


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=IDS)
def test_a_row_is_whole(kind: str, row: Property) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", row.name)
    assert row.doc, "every row says what it is"
    assert row.change in get_args(Change) or isinstance(row.change, Change)
    for value in (row.default, row.absent):
        if value is not None and value != "any":
            assert row.codec.parse(value) == value
    jsonschema.Draft7Validator.check_schema(row.codec.schema())
    if row.default is not None and not isinstance(row.default, tuple):
        jsonschema.validate(row.default, row.codec.schema())
    own = table(kind.removesuffix(" port"))
    if kind.endswith(" port"):  # it may depend on what its master is
        own = {**own, **port_table(kind.removesuffix(" port"))}
    for other in (*row.drags, *row.conflicts, *(name for name, _ in row.only_with)):
        assert other in own, other
    for name, values in row.only_with:
        assert all(own[name].codec.parse(value) == value for value in values)
    assert not row.recreate or row.change is not Change.RECREATE


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("vlan", "egress_qos_map", "egress-qos-map"),
        ("vlan", "egress-qos-map", "egress-qos-map"),
        ("bond", "num-unsol-na", "num_grat_arp"),
        ("bond", "arp-ip-target", "arp_ip_target"),
        ("bond", "peer_notif_delay", "peer_notify_delay"),
        ("vxlan", "group", "remote"),
        ("tap", "group", "group"),
        ("dummy", "mtu", "mtu"),
    ],
)
def test_a_property_is_found_by_any_of_its_names(kind: str, name: str, found: str) -> None:
    row = find(kind, name)
    assert row is not None
    assert row.name == found


def test_what_a_kind_does_not_have_is_not_found() -> None:
    assert find("dummy", "miimon") is None
    assert find("bond", "queue_id") is None
    assert find("physical", "numtxqueues") is None
    row = find("bond", "queue-id", port=True)
    assert row is not None
    assert row.place is Place.PORT


@pytest.mark.parametrize(
    ("kind", "name", "before", "after", "change"),
    [
        ("macvlan", "mode", "bridge", "private", Change.IN_PLACE),
        ("macvlan", "mode", "bridge", "passthru", Change.RECREATE),
        ("macvlan", "mode", "passthru", "vepa", Change.RECREATE),
        ("macvtap", "mode", "passthru", "vepa", Change.RECREATE),
        ("bond", "mode", "balance-rr", "802.3ad", Change.DOWN_NO_PORTS),
        ("bond", "lacp_rate", "slow", "fast", Change.DOWN),
        ("bond", "fail_over_mac", "none", "active", Change.NO_PORTS),
        ("bond", "miimon", 0, 100, Change.IN_PLACE),
        ("vlan", "id", 1, 2, Change.RECREATE),
        ("vlan", "protocol", "802.1Q", "802.1ad", Change.RECREATE),
        ("vlan", "gvrp", False, True, Change.IN_PLACE),
        ("veth", "peer", "a", "b", Change.RECREATE),
        ("vxlan", "id", 1, 2, Change.RECREATE),
        ("vxlan", "remote", "any", "192.0.2.1", Change.IN_PLACE),
        ("tap", "multi_queue", False, True, Change.RECREATE),
        ("tap", "user", 1000, "any", Change.RECREATE),
        ("tap", "user", 1000, 1001, Change.IN_PLACE),
    ],
)
def test_how_a_property_changes(
    kind: str, name: str, before: Value, after: Value, change: Change
) -> None:
    assert table(kind)[name].change_for(before, after) is change


def test_a_time_is_the_same_within_what_the_kernels_ticks_lose() -> None:
    row = table("bridge")["forward_delay"]
    assert isinstance(row.codec, Timer)
    assert row.same(1501, 1500)
    assert row.same(1500, 1499)
    assert not row.same(1500, 1502)
    assert not row.same(1500, None)
    assert not table("bridge")["priority"].same(5, 4)
    assert not table("macvlan")["flag"].same((), None)
    assert isinstance(table("macvlan")["flag"].codec, FlagSet)
