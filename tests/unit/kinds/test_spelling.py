"""What means the same is the same; what is wrong is said in a sentence."""

from __future__ import annotations

import pytest

from xdpctl.topology.kinds import find
from xdpctl.topology.model import Value

SAME: list[tuple[str, str, Value, list[object]]] = [
    ("dummy", "mtu", 1400, [1400, "1400", "0x578", " 1400 "]),
    ("dummy", "state", "up", ["up", "UP"]),
    ("dummy", "address", "02:00:00:00:00:0a", ["02:00:00:00:00:0A", "02-00-00-00-00-0a"]),
    ("dummy", "address", "02:00:00:00:00:0a", ["2:0:0:0:0:a"]),
    ("dummy", "group", "default", ["default", 0, "0"]),
    ("dummy", "arp", True, [True, "on", "yes", "true", 1, "1", "ON"]),
    ("dummy", "arp", False, [False, "off", "no", "false", 0, "0"]),
    ("bond", "mode", "active-backup", ["active-backup", "active_backup", 1, "1"]),
    ("bond", "mode", "802.3ad", ["802.3ad", "802.3AD", 4]),
    ("bond", "lacp_rate", "fast", ["fast", 1, "1"]),
    ("bond", "lacp_active", True, ["on", 1, True]),
    ("bond", "all_slaves_active", "delivered", ["delivered", 1, "on", True]),
    ("bond", "arp_validate", "filter_active", ["filter_active", "filter-active", 5]),
    ("bond", "xmit_hash_policy", "layer3+4", ["layer3+4", 1]),
    ("bond", "arp_ip_target", ("192.0.2.1", "192.0.2.9"),
     ["192.0.2.9,192.0.2.1", ["192.0.2.1", "192.0.2.9"], "192.0.2.1 192.0.2.9"]),
    ("bond", "arp_ip_target", (), ["", [], None]),
    ("macvlan", "mode", "bridge", ["bridge", 4, "4", "BRIDGE"]),
    ("macvlan", "flag", (), [None, "null", [], "none"]),
    ("macvlan", "flag", ("nodst", "nopromisc"), ["nopromisc,nodst", ["nodst", "nopromisc"]]),
    ("macvlan", "macaddr", ("02:00:00:00:00:01", "02:00:00:00:00:02"),
     [["02:00:00:00:00:02", "02:00:00:00:00:01"], "02:00:00:00:00:01,02:00:00:00:00:02"]),
    ("macvlan", "bclim", -1, [-1, "-1"]),
    ("vlan", "protocol", "802.1ad", ["802.1ad", "802.1AD", 0x88A8, "0x88a8"]),
    ("vlan", "ingress-qos-map", ((1, 2), (3, 4)),
     ["1:2 3:4", ["3:4", "1:2"], {1: 2, "3": 4}, "3:4,1:2", "1:2 3:4 5:0"]),
    ("vxlan", "ttl", 0, ["auto", 0, "0"]),
    ("vxlan", "ttl", "inherit", ["inherit"]),
    ("vxlan", "tos", "inherit", ["inherit", 1]),
    ("vxlan", "remote", "any", ["any", "0.0.0.0", "::"]),
    ("vxlan", "remote", "2001:db8::1", ["2001:DB8:0::1"]),
    ("vxlan", "srcport", (1000, 2000), ["1000 2000", "1000-2000", [1000, "2000"]]),
    ("tap", "user", 0, ["root", 0, "0"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "canonical", "raw"),
    [(kind, name, value, raw) for kind, name, value, several in SAME for raw in several],
)
def test_what_means_the_same_is_the_same(
    kind: str, name: str, canonical: Value, raw: object
) -> None:
    row = find(kind, name)
    assert row is not None
    found = row.codec.parse(raw)
    assert found == canonical
    assert type(found) is type(canonical)


WRONG = [
    ("bond", "mode", "active-bakcup", r"one of balance-rr, .*\(did you mean active-backup\?"),
    ("bond", "mode", 7, r"not 7"),
    ("bond", "mode", None, "not nothing"),
    ("bond", "mode", ["active-backup"], "not a list"),
    ("dummy", "mtu", -1, "a number of 0-4294967295, not -1"),
    ("dummy", "mtu", True, "not true"),
    ("dummy", "mtu", 1.5, r"not 1\.5"),
    ("dummy", "mtu", "1k", "not 1k"),
    ("dummy", "mtu", {}, "not a mapping"),
    ("dummy", "state", "upp", r"must be up or down, not upp \(did you mean up\?\)"),
    ("dummy", "arp", "maybe", "must be on or off, not maybe"),
    ("dummy", "arp", 2, "must be on or off, not 2"),
    ("dummy", "address", "02:00:00:00:00", "MAC address like .*, not 02:00:00:00:00"),
    ("dummy", "address", 20000000010, "MAC address like"),
    ("dummy", "address", "01:00:00:00:00:01", "unicast address, but .* multicast"),
    ("dummy", "address", "00:00:00:00:00:00", "all zeroes"),
    ("vlan", "id", 4095, "0-4094, not 4095"),
    ("vlan", "egress-qos-map", "1:8", "TO of 0-7, not 1:8"),
    ("vlan", "egress-qos-map", "1-8", "must be FROM:TO, not 1-8"),
    ("vlan", "ingress-qos-map", "1:2 1:3", "maps 1 twice"),
    ("macvlan", "flag", "nopromsic", r"did you mean nopromisc\?"),
    ("bond", "arp_ip_target", "2001:db8::1", "an IPv4 address, not 2001:db8::1"),
    ("bond", "arp_ip_target", [f"192.0.2.{n}" for n in range(17)], "at most 16 addresses, not 17"),
    ("vxlan", "srcport", "2000 1000", "runs from 2000 down to 1000"),
    ("vxlan", "srcport", "1000", "two ports"),
    ("vxlan", "ttl", 256, "must be inherit, auto, or a number of 0-255, not 256"),
    ("vxlan", "remote", "somewhere", "an IP address, not somewhere"),
    ("veth", "peer", "a/b", "without blanks, / and :"),
    ("veth", "peer", "sixteen-bytes-xx", "at most 15 bytes"),
    ("tap", "user", "nobody-of-that-name", "a user of this host"),
]


@pytest.mark.parametrize(("kind", "name", "raw", "sentence"), WRONG)
def test_what_is_wrong_is_said(kind: str, name: str, raw: object, sentence: str) -> None:
    row = find(kind, name)
    assert row is not None
    with pytest.raises(ValueError, match=sentence):
        row.codec.parse(raw)
