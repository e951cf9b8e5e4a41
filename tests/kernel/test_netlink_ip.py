"""What we send is, byte for byte, what `ip` sends, for every property of every kind.

`ip` is run under strace. It sends its message whether or not this kernel knows the kind, so the
kinds that it lacks are checked as well. Attributes of one level are compared without regard to
their order, and NLA_F_NESTED, which `ip` sets for some nests only, is masked.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.conftest import Netns
from xdpctl.host import links
from xdpctl.host.attributes import HEADER, NUMBER
from xdpctl.topology.kinds import COMMON, KINDS, find, port_table, table
from xdpctl.topology.model import Device, Location, Value
from xdpctl.topology.property import Place

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace"),
]

MAC = "02:00:00:00:00:10"

# kind: (property, what ip is told, what the file says); "" for the property's name and the value
LINK_CASES: list[tuple[str, str, object]] = [
    ("mtu", "", "1400"),
    ("address", "", MAC.upper()),
    ("broadcast", "", "ff:ff:ff:ff:ff:00"),
    ("txqueuelen", "", 500),
    ("group", "group 7", 7),
    ("state", "up", "up"),
    ("state", "down", "down"),
    ("arp", "", "off"),
    ("arp", "", "on"),
    ("multicast", "", "off"),
    ("allmulticast", "", "on"),
    ("promisc", "", "on"),
    ("gso_max_size", "", 30000),
    ("gso_max_segs", "", 30),
    ("gro_max_size", "", 30000),
    ("protodown", "", "on"),
]
CREATION_CASES: list[tuple[str, str, object]] = [
    ("mtu", "", 1400),
    ("address", "", MAC),
    ("broadcast", "", "ff:ff:ff:ff:ff:00"),
    ("txqueuelen", "", 500),
    ("numtxqueues", "", 3),
    ("numrxqueues", "", 2),
]
MACVLAN_CASES: list[tuple[str, str, object]] = [
    *(("mode", "", mode) for mode in ("private", "vepa", "bridge", "passthru", "source")),
    ("mode", "mode bridge", 4),
    ("flag", "mode passthru flag nopromisc", "nopromisc"),
    ("flag", "flag null", "null"),
    ("flag", "flag nodst", ["nodst"]),
    ("bcqueuelen", "", "2000"),
    ("macaddr", f"macaddr set {MAC} 02:00:00:00:00:11", ["02:00:00:00:00:11", MAC]),
    ("macaddr", "macaddr flush", []),
]
DATA_CASES: dict[str, list[tuple[str, str, object]]] = {
    "physical": [],
    "dummy": [],
    "macvlan": MACVLAN_CASES,
    "macvtap": MACVLAN_CASES,
    "veth": [("peer", "peer name other", "other")],
    "tap": [],
    "vlan": [
        ("id", "", 7),
        ("id", "id 4094", "0xffe"),
        ("protocol", "", "802.1Q"),
        ("protocol", "protocol 802.1ad", "802.1AD"),
        ("reorder_hdr", "", "off"),
        ("gvrp", "", "on"),
        ("mvrp", "", "on"),
        ("loose_binding", "", "on"),
        ("bridge_binding", "", "on"),
        ("ingress-qos-map", "ingress-qos-map 1:2 3:4", {3: 4, 1: "2"}),
        ("egress-qos-map", "egress-qos-map 1:2 9:7", "9:7 1:2"),
    ],
    "bond": [
        *(("mode", "", mode) for mode in ("balance-rr", "active-backup", "balance-xor")),
        *(("mode", "", mode) for mode in ("broadcast", "802.3ad", "balance-tlb", "balance-alb")),
        ("mode", "mode 1", "active_backup"),
        ("miimon", "", 100),
        ("updelay", "", 200),
        ("downdelay", "", 300),
        ("peer_notify_delay", "", 400),
        ("use_carrier", "use_carrier 1", True),
        ("arp_interval", "", 1000),
        *(("arp_validate", "", one) for one in ("none", "active", "backup", "all")),
        *(("arp_validate", "", one) for one in ("filter", "filter_active", "filter_backup")),
        *(("arp_all_targets", "", one) for one in ("any", "all")),
        ("arp_ip_target", "arp_ip_target 192.0.2.1,192.0.2.2", ["192.0.2.2", "192.0.2.1"]),
        ("ns_ip6_target", "ns_ip6_target 2001:db8::1,2001:db8::2", "2001:db8::2,2001:DB8::1"),
        ("primary", "primary lo", "lo"),
        *(("primary_reselect", "", one) for one in ("always", "better", "failure")),
        *(("fail_over_mac", "", one) for one in ("none", "active", "follow")),
        *(("xmit_hash_policy", "", one) for one in ("layer2", "layer2+3", "layer3+4")),
        *(("xmit_hash_policy", "", one) for one in ("encap2+3", "encap3+4", "vlan+srcmac")),
        ("resend_igmp", "", 3),
        ("num_grat_arp", "", 4),
        ("num_unsol_na", "", 5),
        ("all_slaves_active", "all_slaves_active 1", "delivered"),
        ("all_slaves_active", "all_slaves_active 0", "off"),
        ("min_links", "", 2),
        ("lp_interval", "", 5),
        ("packets_per_slave", "", 9),
        ("tlb_dynamic_lb", "tlb_dynamic_lb 0", False),
        *(("lacp_rate", "", one) for one in ("slow", "fast")),
        *(("lacp_active", "", one) for one in ("off", "on")),
        *(("ad_select", "", one) for one in ("stable", "bandwidth", "count")),
        ("ad_user_port_key", "", 1023),
        ("ad_actor_sys_prio", "", 99),
        ("ad_actor_system", "", MAC),
        ("arp_missed_max", "", 5),
    ],
    "bridge": [
        ("forward_delay", "", 400),
        ("hello_time", "", 300),
        ("max_age", "", 700),
        ("ageing_time", "", 1000),
        ("stp_state", "stp_state 1", "on"),
        ("priority", "", 4096),
        ("vlan_filtering", "vlan_filtering 1", True),
        ("vlan_protocol", "", "802.1ad"),
        ("group_fwd_mask", "group_fwd_mask 8", "0x8"),
        ("group_address", "", "01:80:c2:00:00:04"),
        ("mcast_router", "", 2),
        ("mcast_snooping", "mcast_snooping 0", "off"),
        ("mcast_query_use_ifaddr", "mcast_query_use_ifaddr 1", "on"),
        ("mcast_querier", "mcast_querier 1", "on"),
        ("mcast_hash_max", "", 512),
        ("mcast_last_member_count", "", 3),
        ("mcast_startup_query_count", "", 4),
        ("mcast_last_member_interval", "", 200),
        ("mcast_membership_interval", "", 20000),
        ("mcast_querier_interval", "", 20000),
        ("mcast_query_interval", "", 10000),
        ("mcast_query_response_interval", "", 900),
        ("mcast_startup_query_interval", "", 3000),
        ("nf_call_iptables", "nf_call_iptables 1", "on"),
        ("nf_call_ip6tables", "nf_call_ip6tables 1", "on"),
        ("nf_call_arptables", "nf_call_arptables 1", "on"),
        ("vlan_default_pvid", "", 5),
        ("vlan_stats_enabled", "vlan_stats_enabled 1", "on"),
        ("vlan_stats_per_port", "vlan_stats_per_port 1", "on"),
        ("mcast_stats_enabled", "mcast_stats_enabled 1", "on"),
        ("mcast_igmp_version", "", 3),
        ("mcast_mld_version", "", 2),
        ("no_linklocal_learn", "no_linklocal_learn 1", "on"),
        ("mcast_vlan_snooping", "mcast_vlan_snooping 1", "on"),
        ("mcast_vlan_snooping", "mcast_vlan_snooping 0", "off"),
    ],
    "vxlan": [
        ("id", "", 0xFFFFFF),
        ("remote", "", "192.0.2.1"),
        ("remote", "group 239.1.1.1 dev mark0", "239.1.1.1"),
        ("remote", "", "2001:db8::1"),
        ("local", "", "192.0.2.2"),
        ("local", "", "2001:db8::2"),
        ("ttl", "", 64),
        ("ttl", "", "auto"),
        ("ttl", "", "inherit"),
        ("tos", "tos 0x20", 32),
        ("tos", "", "inherit"),
        *(("df", "", one) for one in ("unset", "set", "inherit")),
        ("flowlabel", "flowlabel 0xabcde", 0xABCDE),
        ("dstport", "", 4789),
        ("srcport", "srcport 1000 2000", "1000-2000"),
        ("ageing", "", 60),
        ("maxaddress", "", 100),
        *((name, name, "on") for name in ("learning", "proxy", "rsc", "l2miss", "l3miss")),
        *((name, f"no{name}", "off") for name in ("learning", "proxy", "rsc", "l2miss", "l3miss")),
        *((name, name, True) for name in ("udpcsum", "udp6zerocsumtx", "udp6zerocsumrx")),
        *((name, f"no{name}", False) for name in ("udpcsum", "udp6zerocsumtx", "udp6zerocsumrx")),
        *((name, name, 1) for name in ("remcsumtx", "remcsumrx", "external", "gbp", "gpe")),
        *((name, f"no{name}", 0) for name in ("remcsumtx", "remcsumrx")),
        ("external", "noexternal id 7", "off"),
        ("vnifilter", "external vnifilter", 1),
    ],
}
PORT_CASES: dict[str, list[tuple[str, str, object]]] = {
    "bond": [("queue_id", "", 3), ("prio", "", -5)],
    "bridge": [
        ("priority", "", 10),
        ("cost", "", 55),
        *((name, f"{name} on", "on") for name in ("guard", "hairpin", "fastleave", "root_block")),
        *((name, f"{name} off", "off") for name in ("learning", "flood", "mcast_flood")),
        *((name, f"{name} on", "on") for name in ("proxy_arp", "proxy_arp_wifi", "bcast_flood")),
        *((name, f"{name} on", "on") for name in ("mcast_to_unicast", "neigh_suppress", "locked")),
        *((name, f"{name} on", "on") for name in ("vlan_tunnel", "isolated")),
        ("mcast_router", "", 2),
        ("group_fwd_mask", "", 8),
        ("backup_port", "backup_port lo", "lo"),
    ],
}
NEWER = "iproute2 6.1 does not know it"
OTHER_WAY = "made by ioctl on the tun device, not by a message"
LACKING = {
    ("macvlan", "bclim"): NEWER,
    ("macvtap", "bclim"): NEWER,
    ("bond", "coupled_control"): NEWER,
    ("bridge", "mst_enabled"): NEWER,
    ("bridge", "fdb_max_learned"): NEWER,
    ("bridge port", "mab"): NEWER,
    ("bridge port", "mcast_max_groups"): NEWER,
    ("bridge port", "neigh_vlan_suppress"): NEWER,
    ("vxlan", "localbypass"): NEWER,
    **{("tap", name): OTHER_WAY for name in ("user", "group", "pi", "vnet_hdr", "multi_queue")},
}
IP_SAYS: dict[tuple[str, str], dict[str, object]] = {
    ("macvlan", "flag nopromisc"): {"mode": "passthru"},
    ("vlan", "type vlan id 7"): {"id": 7},
    ("vxlan", "type vxlan id 7"): {"id": 7},
    ("vxlan", "noexternal id 7"): {"id": 7},
    ("vxlan", "type vxlan "): {"learning": True},
    ("vxlan", " external"): {"external": True, "learning": False},
    ("vxlan", " gpe"): {"dstport": 4790},
    ("vxlan", "dstport 4789"): {"dstport": 4789},
}
"""What ip means besides the property in question, where its words are found in the command."""
NO_CHANGE = {"macaddr": "ip refuses it without mode source", "id": "", "peer": ""}


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    name: str
    ip: str
    ours: bytes

    def __str__(self) -> str:
        return f"{self.kind}: {self.ip}"


Tree = tuple[Any, ...]
NESTS = {(18,), (18, 2), (18, 5)}
"""Paths of attributes whose payload is attributes: IFLA_LINKINFO, IFLA_INFO_DATA, …_SLAVE_DATA."""
DEEPER = {"bond": {8, 31}, "vlan": {3, 4}, "macvlan": {5}, "macvtap": {5}}
"""Nests within IFLA_INFO_DATA."""
IFLA_GROUP = 27


def tree(kind: str, body: bytes, path: tuple[int, ...] = ()) -> Tree:
    """Attributes as a sorted tree of (number, payload or tree)."""
    found: list[tuple[int, object]] = []
    at = 0
    while at + 4 <= len(body):
        size, number = HEADER.unpack_from(body, at)
        assert size >= 4
        number &= NUMBER
        payload = body[at + 4 : at + size]
        here = (*path, number)
        if here in NESTS or (path == (18, 2) and number in DEEPER.get(kind, set())):
            found.append((number, tree(kind, payload, here)))
        elif kind == "veth" and here == (18, 2, 1):
            found.append((number, (payload[:16], tree("", payload[16:], ()))))
        else:
            found.append((number, payload))
        at += (size + 3) & ~3
    return tuple(sorted(found, key=repr))


def whole(kind: str, message: bytes, *, born: bool) -> Tree:
    """Header and attributes of a message; ip's without sequence number, ours without birthmark."""
    _, number, flags, _, _ = struct.unpack_from("=IHHII", message)
    body = message[32:]
    if born:
        body = without_group(body, kind)
    return (number, flags & ~0x5, message[16:32], tree(kind, body))


def without_group(body: bytes, kind: str) -> bytes:
    """The attributes without IFLA_GROUP, also in a veth's peer (where it stands last)."""
    group = struct.pack("=HHI", 8, IFLA_GROUP, 0)
    body = body.replace(group, b"", 1)
    if kind == "veth":
        peer = body.index(struct.pack("=H", 1), body.index(b"veth") + 8)
        assert group in body[peer:]
        body = body.replace(group, b"", 1)
        body = shortened(body)
    return body


def shortened(body: bytes) -> bytes:
    """Takes the 8 bytes that went out of a peer off the lengths around it."""
    found = bytearray(body)
    start = len(attributes_before(body))
    for at in (start, start + 12, start + 16):
        size, number = HEADER.unpack_from(found, at)
        HEADER.pack_into(found, at, size - 8, number)
    return bytes(found)


def attributes_before(body: bytes) -> bytes:
    """What stands before IFLA_LINKINFO."""
    at = 0
    while HEADER.unpack_from(body, at)[1] != 18:
        at += (HEADER.unpack_from(body, at)[0] + 3) & ~3
    return body[:at]


def without_kind(tree: Tree) -> Tree:
    """ip's message for a port without the kind `bond_slave`, which no kernel knows or needs."""
    *head, ((linkinfo, ((kind, name), data)),) = tree
    assert (kind, linkinfo) == (1, 18)
    assert name in {b"bond_slave", b"bridge_slave"}
    return (*head, ((linkinfo, (data,)),))


def sent_by_ip(netns: Netns, commands: list[str], directory: Path) -> list[bytes | None]:
    """The RTM_NEWLINK that ip sends for each command; None if it refuses the command itself.

    A message that sets a queue length of 100000 + n stands before the nth.
    """
    batch, log = directory / "batch", directory / "strace"
    lines = [
        line
        for place, command in enumerate(commands)
        for line in (f"link set dev mark0 txqueuelen {100_000 + place}", command)
    ]
    batch.write_text("\n".join(lines) + "\n")
    tracing = ["strace", "-qq", "-e", "trace=sendmsg", "-e", "write=3", "-o", str(log)]
    netns.run(*tracing, "ip", "-force", "-batch", str(batch), check=False)
    found: list[bytes | None] = [None] * len(commands)
    place = -1
    for message in messages(log.read_text()):
        if struct.unpack_from("=H", message, 4)[0] != 16:
            continue
        mark = struct.unpack_from("=HHI", message, 32) if len(message) == 40 else (0, 0, 0)
        if mark[1] == 13 and mark[2] >= 100_000:
            place = mark[2] - 100_000
        elif place >= 0:
            assert found[place] is None, commands[place]
            found[place] = message
    return found


def messages(log: str) -> Iterator[bytes]:
    """The buffers of strace's hexdump."""
    for block in re.split(r"^ \* \d+ bytes in buffer \d+$", log, flags=re.M)[1:]:
        rows = re.findall(r"^ \| [0-9a-f]+  ([0-9a-f ]{49}) ", block, flags=re.M)
        yield bytes.fromhex("".join(rows))


def case(
    kind: str, name: str, words: str, raw: object, *, mark: int, changed: int
) -> Iterator[Case]:
    """The creation (and, for what may change, the change) that sets one property."""
    row = find(kind, name)
    assert row is not None
    words = words or f"{name} {raw}"
    if links.born_with(kind, row.name):
        before, after = (words, "") if row.place is Place.LINK else ("", words)
        required = {"vlan": "id 7", "vxlan": "id 7"}.get(kind, "")
        if name == "id" or "external" in words:
            required = ""
        if kind == "vxlan" and name not in {"dstport", "gpe"}:
            after += " dstport 4789"
        parent = "link mark0 " if KINDS[kind].has_parent else ""
        command = f"link add {parent}new0 {before} type {kind} {required} {after}"
        command = " ".join(command.split())
        values = {**meant(kind, command), row.name: row.codec.parse(raw)}
        device = Device("new0", kind, Location("", 1, 1), properties=values)
        lower = mark if "mark0" in command else None
        message = links.create(device, lower=lower, group=0, index={"lo": 1})
        yield Case(kind, row.name, command, message)
    if name not in NO_CHANGE and not name.startswith("num") and kind != "vxlan":
        command = words if row.place is not Place.DATA else f"type {kind} {words}"
        values = {**meant(kind, command), row.name: row.codec.parse(raw)}
        message = links.change(changed, kind, values, index={"lo": 1})
        yield Case(kind, row.name, f"link set dev old0 {command}", message)


def meant(kind: str, command: str) -> dict[str, Value]:
    """The properties that ip's words set beside the one in question."""
    found: dict[str, Value] = {}
    for (of, words), raws in IP_SAYS.items():
        if of == kind.replace("macvtap", "macvlan") and words in command:
            for name, raw in raws.items():
                found[name] = table(kind)[name].codec.parse(raw)
    return found


def cases(mark: int, changed: int) -> Iterator[Case]:
    """All of them."""
    for name, words, raw in LINK_CASES:
        for one in case("macvlan", name, words, raw, mark=mark, changed=changed):
            if one.ip.startswith("link set"):
                yield one
    for name, words, raw in CREATION_CASES:
        yield next(case("dummy", name, words, raw, mark=mark, changed=changed))
    for kind, several in DATA_CASES.items():
        for name, words, raw in several:
            yield from case(kind, name, words, raw, mark=mark, changed=changed)
    for kind, several in PORT_CASES.items():
        for name, words, raw in several:
            row = port_table(kind)[name]
            values = {name: row.codec.parse(raw)}
            message = links.change_port(changed, kind, values, index={"lo": 1})
            command = f"link set dev old0 type {kind}_slave {words or f'{name} {raw}'}"
            yield Case(f"{kind} port", name, command, message)


def test_every_message_is_the_one_that_ip_sends(netns: Netns, tmp_path: Path) -> None:
    netns.ip("link", "add", "mark0", "type", "veth", "peer", "name", "old0")
    index = {one["ifname"]: one["ifindex"] for one in netns.json("link", "show")}
    all_cases = list(cases(index["mark0"], index["old0"]))
    sent = sent_by_ip(netns, [f"{one.ip}" for one in all_cases], tmp_path)
    wrong = []
    for one, theirs in zip(all_cases, sent, strict=True):
        if theirs is None:
            wrong.append(f"{one}: ip refuses this command")
            continue
        born = one.ip.startswith("link add")
        mine = whole(one.kind, one.ours, born=born)
        theirs_ = whole(one.kind, theirs, born=False)
        if one.kind.endswith(" port"):
            theirs_ = without_kind(theirs_)
        if mine != theirs_:
            wrong.append(f"{one}\n  ours {mine}\n  ip's {theirs_}")
    assert not wrong, "\n".join(wrong)
    assert len(all_cases) > 200


def test_no_property_is_left_out() -> None:
    covered = {("", name) for name, _, _ in LINK_CASES + CREATION_CASES}
    for table_, suffix in ((DATA_CASES, ""), (PORT_CASES, " port")):
        for kind, several in table_.items():
            for name, _, _ in several:
                row = port_table(kind)[name] if suffix else find(kind, name)
                assert row is not None
                covered.add((kind + suffix, row.name))
    common = {row.name for row in COMMON} | {"numtxqueues", "numrxqueues", "protodown"}
    rows = {("", name) for name in common}
    for kind in KINDS:
        own = [row for row in table(kind).values() if row.place is Place.DATA]
        rows |= {(kind, row.name) for row in own}
        ports = [row for row in port_table(kind).values() if row.place is Place.PORT]
        rows |= {(f"{kind} port", row.name) for row in ports}
    assert rows - covered == set(LACKING)
