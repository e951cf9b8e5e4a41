"""Links out of messages that no kernel here would make."""

from __future__ import annotations

import struct

import pytest

from xdpctl.host.attributes import attribute, nest, text, u32
from xdpctl.host.decode import decode
from xdpctl.host.links import birthmark, change, create
from xdpctl.host.rtnl import IFINFOMSG
from xdpctl.host.snapshot import named
from xdpctl.host.state import XdpAttachment
from xdpctl.topology.kinds import table
from xdpctl.topology.model import Device, Location, Value


def link(ifindex: int, name: str, *attributes: bytes, flags: int = 0) -> bytes:
    return IFINFOMSG.pack(0, 1, ifindex, flags, 0) + text(3, name) + b"".join(attributes)


def info(kind: str, *data: bytes, slave: tuple[str, bytes] | None = None) -> bytes:
    parts = [text(1, kind)] if kind else []
    parts += [nest(2, data)] if data else []
    parts += [text(4, slave[0]), attribute(5, slave[1])] if slave else []
    return nest(18, parts)


def xdp(mode: int, *programs: tuple[int, int]) -> bytes:
    return nest(43, [attribute(2, bytes((mode,))), *(u32(*one) for one in programs)])


def test_a_bonds_properties() -> None:
    data = [attribute(1, b"\4"), u32(3, 100), attribute(16, b"\2"), u32(11, 7), attribute(99, b"?")]
    targets = nest(8, [attribute(3, bytes((192, 0, 2, 9))), attribute(0, bytes((192, 0, 2, 1)))])
    found = decode(link(5, "bond0", info("bond", *data, targets), flags=0x1043))
    assert found.kind == "bond"
    wanted = {"mode": "802.3ad", "miimon": 100, "num_grat_arp": 2, "primary": 7, "state": "up"}
    assert wanted.items() <= found.properties.items()
    assert found.properties["arp_ip_target"] == ("192.0.2.1", "192.0.2.9")
    assert found.properties["ns_ip6_target"] == ()


def test_a_port_of_a_bond() -> None:
    slave = attribute(5, b"\3\0") + attribute(9, struct.pack("=i", -5)) + attribute(4, bytes(6))
    found = decode(link(6, "eth1", u32(10, 5), info("", slave=("bond", slave))))
    assert (found.kind, found.master) == ("", 5)
    assert found.port == {"queue_id": 3, "prio": -5}


def test_names_stand_for_indexes_after_the_whole_dump() -> None:
    bond = decode(link(5, "bond0", info("bond", u32(11, 6))))
    nic = decode(link(6, "eth1"))
    left, right = decode(link(7, "a0", u32(5, 8), info("veth"))), decode(link(8, "b0", u32(5, 7)))
    by_name = {one.name: one for one in named((bond, nic, left, right))}
    assert by_name["bond0"].properties["primary"] == "eth1"
    assert by_name["a0"].properties["peer"] == "b0"
    gone = named((bond,))[0]
    assert "primary" not in gone.properties


def test_a_vlans_flags_and_maps() -> None:
    flags = attribute(2, struct.pack("=II", 0x13, 0xFFFFFFFF))
    qos = nest(4, [attribute(1, struct.pack("=II", 3, 4)), attribute(1, struct.pack("=II", 1, 0))])
    data = [attribute(1, b"\7\0"), attribute(5, b"\x88\xa8"), flags, qos]
    found = decode(link(9, "v7", u32(5, 2), info("vlan", *data))).properties
    on = {name for name in ("reorder_hdr", "gvrp", "mvrp", "loose_binding", "bridge_binding")
          if found[name]}  # fmt: skip
    assert on == {"reorder_hdr", "gvrp", "bridge_binding"}
    assert found["protocol"] == "802.1ad"
    assert (found["ingress-qos-map"], found["egress-qos-map"]) == (((3, 4),), ())


@pytest.mark.parametrize(
    ("attached", "expected"),
    [
        (xdp(0), None),
        (xdp(1, (4, 11)), XdpAttachment("native", 11)),
        (xdp(2, (4, 12)), XdpAttachment("generic", 12)),
        (xdp(3, (4, 13)), XdpAttachment("offload", 13)),
        (xdp(4, (5, 14), (6, 15)), XdpAttachment("native", 14)),
        (xdp(4, (6, 15), (7, 16)), XdpAttachment("offload", 16)),
    ],
)
def test_xdp(attached: bytes, expected: XdpAttachment | None) -> None:
    assert decode(link(3, "eth0", attached)).xdp == expected


def test_a_lower_device_in_another_namespace() -> None:
    found = decode(link(9, "m0", u32(5, 2), u32(37, 0), info("macvlan")))
    assert (found.lower, found.lower_elsewhere) == (None, True)


def test_a_number_that_only_a_newer_kernel_knows() -> None:
    found = decode(link(9, "b0", info("bond", attribute(1, b"\x0b"))))
    assert found.properties["mode"] == 11


def test_an_unknown_kind_keeps_its_name() -> None:
    found = decode(link(9, "i0", info("ipvlan", attribute(1, b"\1\0"))))
    assert found.kind == "ipvlan"
    assert "mode" not in found.properties


def test_a_flag_of_the_link_level_is_inverted_where_the_kernel_has_it_so() -> None:
    assert decode(link(1, "a", flags=0x80)).properties["arp"] is False
    assert decode(link(1, "a", flags=0)).properties["arp"] is True


def test_what_was_merged_by_the_kernel_before_is_taken_back() -> None:
    where = {"egress-qos-map": ((1, 2), (5, 6))}
    sent = change(9, "vlan", {"egress-qos-map": ((5, 7),)}, before=where)
    mapping = nest(
        3, [attribute(1, struct.pack("=II", 1, 0)), attribute(1, struct.pack("=II", 5, 7))]
    )
    assert mapping in sent


def test_bits_of_one_word_are_sent_as_one_attribute() -> None:
    sent = change(9, "vlan", {"gvrp": True, "mvrp": False})
    assert attribute(2, struct.pack("=II", 0x2, 0xA)) in sent
    flags = IFINFOMSG.unpack_from(change(9, "dummy", {"state": "up", "arp": False}), 16)[3:]
    assert flags == (0x81, 0x81)


def test_what_is_sent_at_creation_and_what_after() -> None:
    properties: dict[str, Value] = {"mtu": 1400, "state": "up", "promisc": True, "mode": "bridge"}
    device = Device("m0", "macvlan", Location("", 1, 1), properties=properties)
    sent = create(device, group=5, lower=2)
    assert IFINFOMSG.unpack_from(sent, 16)[3:] == (0, 0)
    found = decode(sent[16:])
    assert (found.group, found.lower, found.properties["mode"]) == (5, 2, "bridge")


def test_a_birthmark_is_a_group_that_the_kernel_takes_and_nobody_has() -> None:
    marks = {birthmark(name) for name in ("edge", "core", "lab")}
    assert len(marks) == 3
    assert all(1 << 30 <= mark < 1 << 31 for mark in marks)
    value = table("dummy")["group"].codec.parse(max(marks))
    assert value == max(marks)
