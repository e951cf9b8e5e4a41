"""Devices on a real kernel: what is asked for is what is read back, for every property."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.kernel.conftest import Netns
from xdpctl.errors import KernelError
from xdpctl.host import links, tap
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.snapshot import read
from xdpctl.host.state import Link
from xdpctl.topology.kinds import KINDS, find, port_table
from xdpctl.topology.model import Device, Location, Value
from xdpctl.topology.property import Change, Place

pytestmark = pytest.mark.kernel

WHERE = Location("", 1, 1)
MAC = "02:00:00:00:00:10"
BIRTH = links.birthmark("test")


@dataclass(frozen=True, slots=True)
class Bench:
    """A namespace with a veth as the NIC, and a socket in it."""

    netns: Netns
    rtnl: Rtnl
    nic: int

    def create(self, kind: str, properties: dict[str, Value], name: str = "new0") -> Link:
        """A device of that kind on the NIC, if it wants one."""
        device = Device(name, kind, WHERE, properties=properties)
        lower = self.nic if KINDS[kind].has_parent else None
        if kind == "tap":
            with tap.creating(name, properties):
                pass
        else:
            message = links.create(device, lower=lower, group=BIRTH)
            self.rtnl.request(message, f"create {name}")
        return self.link(name)

    def change(self, link: Link, properties: dict[str, Value]) -> Link:
        """The device after a change."""
        index = {one.name: one.ifindex for one in read().links}
        before = link.properties
        message = links.change(link.ifindex, link.kind, properties, before=before, index=index)
        self.rtnl.request(message, f"change {link.name}")
        return self.link(link.name)

    def link(self, name: str) -> Link:
        """The device as a dump shows it."""
        return read().by_name[name]

    def delete(self, name: str) -> None:
        """Deletes the device."""
        self.rtnl.request(links.delete(self.link(name).ifindex), f"delete {name}")


@pytest.fixture
def bench(netns: Netns) -> Iterator[Bench]:
    netns.ip("link", "add", "nic0", "type", "veth", "peer", "name", "wire0")
    netns.ip("link", "set", "nic0", "up")
    netns.ip("link", "set", "wire0", "up")
    with netns.entered(), Rtnl() as rtnl:
        yield Bench(netns, rtnl, read().by_name["nic0"].ifindex)


# kind: property, values one after the other; what it needs beside it
COMMON_VALUES: dict[str, list[object]] = {
    "mtu": [1400, "1300"],
    "address": ["02:00:00:00:00:20", "02-00-00-00-00-21"],
    "broadcast": ["ff:ff:ff:ff:ff:00"],
    "txqueuelen": [500, 600],
    "group": [7, "default"],
    "state": ["up", "down"],
    "arp": ["off", True],
    "multicast": [False, "on"],
    "allmulticast": ["on", "off"],
    "promisc": [1, 0],
    "gso_max_size": [30000],
    "gso_max_segs": [30],
    "gro_max_size": [30000],
}
MACVLAN_VALUES: dict[str, list[object]] = {
    "mode": ["private", "vepa", 4, "source"],
    "flag": ["nodst", [], "nopromisc,nodst", None],
    "macaddr": [["02:00:00:00:00:31", "02:00:00:00:00:30"], "02:00:00:00:00:33", []],
    "bcqueuelen": [2000, "500", 0],
    "bclim": [5, -1, 1],
    "protodown": ["on", "off"],
}
VALUES: dict[str, dict[str, list[object]]] = {
    "macvlan": MACVLAN_VALUES,
    "macvtap": MACVLAN_VALUES,
    "veth": {"peer": ["other0"]},
    "bridge": {
        "forward_delay": [1501, 1600],
        "hello_time": [101, 1000],
        "max_age": [601, "3999"],
        "ageing_time": [0, 12345],
        "stp_state": ["on", "off"],
        "priority": [0, 61440],
        "vlan_filtering": [1, 0],
        "vlan_protocol": ["802.1ad", "802.1q"],
        "group_fwd_mask": ["0x8", 0],
        "group_address": ["01:80:c2:00:00:05", "01:80:C2:00:00:00"],
        "mcast_router": [2, 0, 1],
        "mcast_snooping": [0, 1],
        "mcast_query_use_ifaddr": [1, 0],
        "mcast_querier": ["yes", "no"],
        "mcast_hash_max": [512, 4096],
        "mcast_last_member_count": [3],
        "mcast_startup_query_count": [4],
        "mcast_last_member_interval": [101, 200],
        "mcast_membership_interval": [20001],
        "mcast_querier_interval": [20003],
        "mcast_query_interval": [10001],
        "mcast_query_response_interval": [901],
        "mcast_startup_query_interval": [3001],
        "vlan_default_pvid": [5, 0],
        "vlan_stats_enabled": [1, 0],
        "vlan_stats_per_port": [1, 0],
        "mcast_stats_enabled": [1, 0],
        "mcast_igmp_version": [3, "2"],
        "mcast_mld_version": [2, 1],
        "no_linklocal_learn": [1, 0],
        "mcast_vlan_snooping": [1, 0],
        "mst_enabled": [1, 0],
        "fdb_max_learned": [100, 0],
        "nf_call_iptables": [1, 0],
        "nf_call_ip6tables": [1, 0],
        "nf_call_arptables": [1, 0],
    },
    "tap": {
        "user": [1000, 1001],
        "group": [5, 6],
        "pi": [True],
        "vnet_hdr": [True],
        "multi_queue": [True],
    },
    "vxlan": {
        "id": [9],
        "remote": ["192.0.2.1", "192.0.2.9"],
        "local": ["192.0.2.2", "192.0.2.3"],
        "ttl": [64, "auto", 0],
        "tos": [32, "inherit", 0],
        "df": ["set", "inherit", "unset"],
        "flowlabel": [0xABCDE, 0],
        "dstport": [4790],
        "srcport": ["1000 2000"],
        "learning": [0, 1],
        "proxy": [1],
        "rsc": [1],
        "l2miss": [1],
        "l3miss": [1],
        "ageing": [60, 1],
        "maxaddress": [100],
        "udpcsum": [0],
        "udp6zerocsumtx": [1],
        "udp6zerocsumrx": [1],
        "remcsumtx": [1],
        "remcsumrx": [1],
        "external": [1],
        "gbp": [1],
        "gpe": [1],
        "vnifilter": [1],
        "localbypass": [0, 1],
        "protodown": ["on", "off"],
    },
}
QUEUES: dict[str, list[object]] = {"numtxqueues": [3], "numrxqueues": [2]}
BESIDE: dict[tuple[str, str], dict[str, Value]] = {
    ("macvlan", "macaddr"): {"mode": "source"},
    ("macvtap", "macaddr"): {"mode": "source"},
    ("veth", ""): {"peer": "wire1"},
    ("vxlan", ""): {"id": 7, "dstport": 4789},
    ("vxlan", "external"): {},
    ("vxlan", "vnifilter"): {"external": True},
    ("vxlan", "flowlabel"): {"id": 7, "dstport": 4789, "local": "2001:db8::1"},
    ("vxlan", "gpe"): {"dstport": 4790, "external": True, "learning": False},
    ("bridge", "mcast_vlan_snooping"): {"vlan_filtering": True},
}
NETFILTER = {"nf_call_iptables", "nf_call_ip6tables", "nf_call_arptables"}
FILTERING = {"vlan_filtering", "vlan_protocol", "vlan_default_pvid", "vlan_stats_enabled"}
FILTERING |= {"vlan_stats_per_port", "mcast_vlan_snooping", "mst_enabled"}
NOT_HERE = {
    **{("bridge", name): "CONFIG_BRIDGE_NETFILTER" for name in NETFILTER},
    **{("bridge", name): "CONFIG_BRIDGE_VLAN_FILTERING" for name in FILTERING},
}
"""What some kernels are built without; the test says so and goes by."""
CASES = [
    (kind, name)
    for kind, own in VALUES.items()
    for name in {**own, **COMMON_VALUES, **({} if kind == "tap" else QUEUES)}
    if find(kind, name) is not find(kind, "remote") or name == "remote"
]


def values_of(kind: str, name: str) -> list[object]:
    return {**COMMON_VALUES, **QUEUES, **VALUES[kind]}[name]


def beside(kind: str, name: str) -> dict[str, Value]:
    found = BESIDE.get((kind, name), BESIDE.get((kind, ""), {}))
    return {key: value for key, value in found.items() if key != name}


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda one: str(one))
def test_a_property_is_read_back_as_it_was_asked_for(bench: Bench, kind: str, name: str) -> None:
    row = find(kind, name)
    assert row is not None
    wanted = [row.codec.parse(one) for one in values_of(kind, name)]
    others = beside(kind, name)
    first = {**others, name: wanted[0]}
    if not links.born_with(kind, name):
        first = others
    reason = NOT_HERE.get((kind, name))
    try:
        link = bench.create(kind, first)
    except KernelError as error:
        if reason and error.errno in {errno.EOPNOTSUPP, errno.EINVAL}:
            pytest.skip(f"needs {reason}: {error}")
        raise
    if name not in first:
        link = bench.change(link, {name: wanted[0]})
    if reason and name not in link.properties:
        pytest.skip(f"needs {reason}: the kernel does not show it")
    assert row.same(wanted[0], link.properties[name]), link.properties[name]
    if row.change is Change.RECREATE or (row.place is Place.DATA and kind == "tap"):
        return
    for value in wanted[1:]:
        link = bench.change(link, {name: value})
        assert row.same(value, link.properties[name]), link.properties[name]


@pytest.mark.parametrize("kind", VALUES)
def test_a_default_is_the_kernels_own(bench: Bench, kind: str) -> None:
    link = bench.create(kind, beside(kind, "-"))
    given = beside(kind, "-")
    for row in KINDS[kind].properties:
        if row.default is not None and row.name in link.properties and row.name not in given:
            assert row.same(row.default, link.properties[row.name]), row.name


@pytest.mark.parametrize(
    ("kind", "properties", "forced"),
    [
        ("macvlan", {"mode": "bridge"}, {"mode": "passthru"}),
        ("macvlan", {"mode": "passthru"}, {"mode": "bridge"}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"id": 8}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"dstport": 4790}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"srcport": (1000, 2000)}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"maxaddress": 9}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"proxy": True}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"gbp": True}),
        ("vxlan", {"id": 7, "dstport": 4789}, {"udp6zerocsumtx": True}),
    ],
)
def test_what_the_table_says_forces_a_replacement_is_refused_in_place(
    bench: Bench, kind: str, properties: dict[str, Value], forced: dict[str, Value]
) -> None:
    link = bench.create(kind, properties)
    ((name, value),) = forced.items()
    row = find(kind, name)
    assert row is not None
    assert row.change_for(link.properties[name], value) is Change.RECREATE
    with pytest.raises(KernelError):
        bench.change(link, forced)


# what `ip -d -j link` calls it: property, key, and what it shows for a value
SHOWN: dict[str, list[tuple[str, Value, Any]]] = {
    "macvlan": [
        ("mode", "private", "private"),
        ("bcqueuelen", 1500, 1500),
        ("macaddr", (), None),
    ],
    "bridge": [
        ("forward_delay", 1600, 1600),
        ("stp_state", True, 1),
        ("priority", 4096, 4096),
        ("max_age", 700, 700),
        ("hello_time", 300, 300),
    ],
    "vxlan": [
        ("id", 9, 9),
        ("remote", "192.0.2.1", "192.0.2.1"),
        ("local", "192.0.2.2", "192.0.2.2"),
        ("ttl", 64, 64),
        ("learning", False, False),
        ("ageing", 60, 60),
    ],
}


@pytest.mark.parametrize("kind", SHOWN)
def test_ip_shows_the_same(bench: Bench, kind: str) -> None:
    properties = {name: value for name, value, _ in SHOWN[kind] if (kind, name) not in BESIDE}
    bench.create(kind, {**properties, "mtu": 1280, "address": MAC})
    (shown,) = bench.netns.json("link", "show", "dev", "new0")
    data = shown["linkinfo"]["info_data"]
    for name, _, theirs in SHOWN[kind]:
        assert data.get(name) == theirs, name
    assert (shown["mtu"], shown["address"], shown["operstate"]) == (1280, MAC, "DOWN")
    assert shown["linkinfo"]["info_kind"] == kind


BRIDGE_PORT: dict[str, list[object]] = {
    "priority": [10, 32],
    "cost": [55, 2],
    "mcast_router": [2, 1],
    "group_fwd_mask": [8, 0],
    "mcast_max_groups": [10, 0],
    "backup_port": ["wire0"],
}


@pytest.mark.parametrize("name", port_table("bridge"))
def test_a_bridge_ports_own_property(bench: Bench, name: str) -> None:
    row = port_table("bridge")[name]
    bench.create("bridge", {}, "br0")
    bench.netns.ip("link", "set", "wire0", "master", "br0")
    message = links.change(bench.nic, "veth", master=bench.link("br0").ifindex)
    bench.rtnl.request(message, "enslave nic0")
    index = {one.name: one.ifindex for one in read().links}
    beside_it: dict[str, Value] = {"locked": True, "learning": True} if name == "mab" else {}
    for raw in BRIDGE_PORT.get(name, ["on", "off"]):
        value = row.codec.parse(raw)
        properties = {**beside_it, name: value}
        bench.rtnl.request(links.change_port(bench.nic, "bridge", properties, index=index), name)
        assert bench.link("nic0").port[name] == value
        assert bench.link("nic0").master == index["br0"]
    bench.rtnl.request(links.change(bench.nic, "veth", master=0), "release nic0")
    assert bench.link("nic0").master is None
    assert bench.link("nic0").port == {}


def test_a_device_is_born_down_with_the_birthmark_and_labelled_afterwards(bench: Bench) -> None:
    link = bench.create("macvlan", {"mode": "bridge", "address": MAC})
    assert (link.kind, link.lower, link.group) == ("macvlan", bench.nic, BIRTH)
    assert link.properties["state"] == "down"
    message = links.change(
        link.ifindex, "macvlan", {"state": "up"}, alias=links.label("test"), group=0
    )
    bench.rtnl.request(message, "label it")
    link = bench.link("new0")
    assert (link.alias, link.group, link.properties["state"]) == ("xdpctl:test", 0, "up")
    bench.rtnl.request(links.change(link.ifindex, "macvlan", alias=""), "take the label away")
    assert bench.link("new0").alias == ""


def test_a_veths_peer_is_born_with_the_birthmark_too(bench: Bench) -> None:
    one = bench.create("veth", {"peer": "b0"}, "a0")
    other = bench.link("b0")
    assert (one.group, other.group) == (BIRTH, BIRTH)
    assert (one.properties["peer"], other.properties["peer"]) == ("b0", "a0")
    assert (one.lower, other.lower) == (other.ifindex, one.ifindex)


def test_a_vxlans_lower_device_is_its_parent(bench: Bench) -> None:
    properties: dict[str, Value] = {"id": 7, "remote": "239.1.1.1", "dstport": 4789}
    device = Device("vx0", "vxlan", WHERE, properties=properties)
    bench.rtnl.request(links.create(device, lower=bench.nic, group=BIRTH), "create vx0")
    link = bench.link("vx0")
    assert (link.lower, link.properties["remote"]) == (bench.nic, "239.1.1.1")
    other = bench.link("wire0").ifindex
    bench.rtnl.request(links.change(link.ifindex, "vxlan", lower=other), "move vx0")
    assert bench.link("vx0").lower == other


def test_a_peer_in_another_namespace_has_no_name_here(bench: Bench, netnses: Any) -> None:
    bench.create("veth", {"peer": "b0"}, "a0")
    bench.netns.ip("link", "set", "b0", "netns", netnses().name)
    link = bench.link("a0")
    assert (link.lower, link.lower_elsewhere) == (None, True)
    assert "peer" not in link.properties


def test_a_group_is_deleted_at_once_and_nothing_else(bench: Bench) -> None:
    for number in range(5):
        bench.create("macvlan", {"mode": "bridge"}, f"m{number}")
    names = set(read().by_name)
    doomed = [bench.link(f"m{number}").ifindex for number in (1, 3)]
    marks = [(links.change(one, "macvlan", group=99), "mark") for one in doomed]
    assert bench.rtnl.batch([*marks, (links.delete_group(99), "delete")]) == [None] * 3
    assert set(read().by_name) == names - {"m1", "m3"}


@pytest.mark.parametrize("refused", [set(), {0}, {127}, {128}, {199}, {0, 77, 127, 128, 199}])
def test_a_batch_knows_which_were_refused(bench: Bench, refused: set[int]) -> None:
    """Two sends of 128 and 72 messages; what is refused is a device that is there already."""
    made = [Device(f"d{n}", "macvlan", WHERE) for n in range(200)]
    messages = [links.create(one, lower=bench.nic, group=BIRTH) for one in made]
    bench.rtnl.batch([(messages[n], f"create d{n} first") for n in refused])
    outcomes = bench.rtnl.batch([(one, f"create d{n}") for n, one in enumerate(messages)])
    assert {n for n, outcome in enumerate(outcomes) if outcome is not None} == refused
    for n in refused:
        assert str(outcomes[n]) == f"create d{n}: File exists"
    assert {one.name for one in made} <= read().by_name.keys()
