"""Packets through the compiled programs, on no device: who decides, and by which rule."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import pins
from xdpctl.topology.load import load_texts
from xdpctl.trace import check

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

HEAD = "version: 1\nname: edge\ndevices:\n"
POLICIES = """\
policies:
  guard: {rules: [{name: bad, match: {ip4.saddr: 192.0.2.0/24}, action: drop}]}
  web:
    default: drop
    rules:
      - {name: seen, match: {tcp.dport: 443}, action: count}
      - {name: https, match: {tcp.dport: 443}, action: pass}
      - {name: arp, match: {ether.type: arp}, action: pass}
      - {match: {udp.dport: 53}, action: drop}
  open: {rules: [{name: dns, match: {udp.dport: 53}, action: drop}]}
"""
NATIVE = """\
  eth0: {kind: physical, address: "02:00:00:00:00:01", xdp: {policy: guard}}
  web0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:10", xdp: {policy: web}}
  open0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:11", xdp: {policy: open}}
  bare0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:12"}
"""
GENERIC = NATIVE.replace("{policy: guard}", "{policy: guard, mode: generic}")
FLOODED = NATIVE.replace("{policy: web}", "{policy: web, flood: pass}").replace(
    "{policy: open}", "{policy: open, flood: drop}"
)
SILENT = NATIVE.replace(':12"}', ':12", xdp: {flood: drop}}')
STRICT = NATIVE.replace("{policy: guard}", "{unknown: drop}")
LOOSE = NATIVE.replace(", xdp: {policy: guard}", "")
DEEP = """\
  eth0: {kind: physical, xdp: {policy: guard}}
  vlan7: {kind: vlan, parent: eth0, id: 7, xdp: {policy: open}}
  web7: {kind: macvlan, parent: vlan7, xdp: {policy: web}}
  vlan8: {kind: vlan, parent: vlan7, id: 8, protocol: 802.1ad, xdp: {policy: web}}
  web0: {kind: macvlan, parent: eth0, xdp: {policy: web}}
"""
PASSTHRU = """\
  eth0: {kind: physical}
  all0: {kind: macvlan, parent: eth0, mode: passthru, xdp: {policy: web}}
"""
SOURCE = """\
  eth0: {kind: physical}
  src0: {kind: macvlan, parent: eth0, mode: source, macaddr: "02:00:00:00:00:fe",
         xdp: {policy: web}}
"""
BOND = """\
  eth1: {kind: physical}
  eth2: {kind: physical}
  bond0: {kind: bond, ports: [eth1, eth2], mode: active-backup, miimon: 100, xdp: {policy: guard}}
  web0: {kind: macvlan, parent: bond0, xdp: {policy: web}}
"""
BRIDGE = """\
  eth1: {kind: physical}
  br0: {kind: bridge, ports: [eth1], xdp: {policy: guard}}
"""
DISABLED = NATIVE.replace("{policy: guard}", "{policy: guard, enabled: false}")

BROADCAST = "ether: {daddr: broadcast}"
UNTAGGED = "020000000010 0200000000fe 0800 4500"
CASES = [
    # the root's own stage, then the device's
    (NATIVE, "to: web0, tcp: {dport: 443}", "pass web0 https"),
    (NATIVE, "to: web0, tcp: {dport: 80}", "drop web0 default"),
    (NATIVE, "to: web0, udp: {dport: 53}", "drop web0 4"),
    (NATIVE, "to: web0, ip4: {saddr: 192.0.2.1}, tcp: {dport: 443}", "drop eth0 bad"),
    (NATIVE, "to: open0, tcp: {dport: 80}", "pass open0 default"),
    (NATIVE, "to: web0, ip6: {}, tcp: {dport: 443}", "pass web0 https"),
    (NATIVE, "to: web0, vlan: 5, tcp: {dport: 443}", "pass web0 https"),
    (NATIVE, "to: bare0, tcp: {dport: 443}", "pass eth0 default"),
    (NATIVE, "to: eth0, tcp: {dport: 443}", "pass eth0 default"),
    (NATIVE, "tcp: {dport: 443}", "pass eth0 default"),
    (NATIVE, 'ether: {daddr: "02:00:00:00:00:99"}, tcp: {}', "pass eth0 default"),
    (NATIVE, "to: web0, length: 16000, tcp: {dport: 443}", "pass web0 https"),
    # unicast for nobody
    (STRICT, 'ether: {daddr: "02:00:00:00:00:99"}, tcp: {}', "drop eth0 unknown"),
    (STRICT, "to: bare0, tcp: {dport: 443}", "pass bare0 None"),
    (STRICT, "to: eth0", "pass eth0 None"),
    (LOOSE, 'ether: {daddr: "02:00:00:00:00:99"}, tcp: {}', "pass eth0 unknown"),
    (LOOSE, "to: bare0", "pass bare0 None"),
    # what cannot be parsed
    (NATIVE, f'hex: "{UNTAGGED}"', "drop web0 malformed"),
    (GENERIC, f'hex: "{UNTAGGED}"', "drop web0 malformed"),
    (NATIVE, f'to: web0, hex: "{UNTAGGED.replace("02", "03", 1)}"', "drop web0 malformed"),
    (NATIVE, "to: web0, tcp: {dport: 443}, length: 53", "drop web0 malformed"),
    (GENERIC, "to: web0, tcp: {dport: 443}, length: 53", "drop web0 malformed"),
    # a generic root leaves the devices' stages to the devices
    (GENERIC, "to: web0, tcp: {dport: 443}", "pass web0 https"),
    (GENERIC, "to: web0, ip4: {saddr: 192.0.2.1}", "drop eth0 bad"),
    (GENERIC, "to: web0, tcp: {dport: 443}, length: 16000", "pass web0 https"),
    (GENERIC, "to: open0, vlan: {id: 3, pcp: 2}, udp: {dport: 53}", "drop open0 dns"),
    # to all: each device has its own say
    (NATIVE, "to: web0, arp: {}", "pass web0 arp"),
    (NATIVE, f"to: web0, {BROADCAST}, udp: {{dport: 9}}", "drop web0 default"),
    (NATIVE, f"to: open0, {BROADCAST}, udp: {{dport: 9}}", "pass open0 default"),
    (NATIVE, f"{BROADCAST}, udp: {{dport: 9}}", "pass eth0 default"),
    (NATIVE, f"to: web0, {BROADCAST}, ip4.saddr: 192.0.2.7", "drop eth0 bad"),
    (FLOODED, f"to: web0, {BROADCAST}, udp: {{dport: 9}}", "pass web0 flood"),
    (FLOODED, "to: open0, ether: {daddr: multicast}, udp: {dport: 9}", "drop open0 flood"),
    (FLOODED, "to: web0, udp: {dport: 9}", "drop web0 default"),
    (GENERIC, f"to: web0, {BROADCAST}, udp: {{dport: 9}}", "drop web0 default"),
    (SILENT, f"to: bare0, {BROADCAST}, udp: {{dport: 9}}", "drop bare0 flood"),
    (SILENT, "to: bare0, udp: {dport: 9}", "pass eth0 default"),
    # devices that only their backstop polices
    (DEEP, "to: vlan7, udp: {dport: 53}", "drop vlan7 dns"),
    (DEEP, "to: vlan7, udp: {dport: 54}", "pass vlan7 default"),
    (DEEP, "to: vlan7, vlan: 8, udp: {dport: 53}", "pass eth0 default"),
    (DEEP, "to: web7, tcp: {dport: 443}", "pass web7 https"),
    (DEEP, "to: web7, udp: {dport: 53}", "drop vlan7 dns"),
    (DEEP, "to: web7, udp: {dport: 54}", "drop web7 default"),
    (DEEP, "to: vlan8, tcp: {dport: 443}", "pass vlan8 https"),
    (DEEP, "to: web7, arp: {}", "pass web7 arp"),
    (PASSTHRU, "to: all0, tcp: {dport: 443}", "pass all0 https"),
    (PASSTHRU, 'in: eth0, ether: {daddr: "02:00:00:00:00:99"}', "drop all0 default"),
    (SOURCE, "in: eth0, tcp: {dport: 443}", "pass src0 https"),
    (SOURCE, 'in: eth0, ether: {saddr: "02:00:00:00:00:fd"}', "pass eth0 None"),
    # other roots
    (BOND, "in: eth2, to: web0, tcp: {dport: 443}", "pass web0 https"),
    (BOND, "in: eth1, ip4: {saddr: 192.0.2.1}", "drop bond0 bad"),
    (BOND.replace("policy: guard", "unknown: drop"), "to: eth1", "pass bond0 None"),
    (BRIDGE, "to: br0, ip4: {saddr: 192.0.2.1}", "drop br0 bad"),
    (DISABLED, "to: web0, udp: {dport: 53}", "pass web0 None"),
]


def simulated(devices: str, *packets: str, expect: str = "verdict: pass") -> list[check.Result]:
    tests = "".join(f"  - {{packet: {{{one}}}, expect: {{{expect}}}}}\n" for one in packets)
    text = HEAD + devices + POLICIES + "tests:\n" + tests
    return list(check.run(load_texts({"edge.yaml": text})))


@pytest.mark.parametrize(("devices", "packet", "wanted"), CASES)
def test_who_decides_and_how(devices: str, packet: str, wanted: str) -> None:
    [result] = simulated(devices, packet)
    assert " ".join(map(str, check.got(result.journey).values())) == wanted


def test_tests_do_not_see_each_other() -> None:
    """One set of maps serves them all."""
    group = [(packet, wanted) for devices, packet, wanted in CASES if devices is NATIVE]
    results = simulated(NATIVE, *(packet for packet, _ in group * 2))
    seen = [" ".join(map(str, check.got(result.journey).values())) for result in results]
    assert seen == [wanted for _, wanted in group * 2]


def test_every_hop_is_told() -> None:
    [result] = simulated(NATIVE, "to: web0, tcp: {dport: 443}")
    told = [(hop.device, hop.layer, hop.rule, hop.counted) for hop in result.journey.hops]
    assert told == [("eth0", "native", "default", ()), ("web0", "dispatched", "https", ("seen",))]
    [result] = simulated(GENERIC, "to: web0, tcp: {dport: 443}")
    assert [hop.layer for hop in result.journey.hops] == ["generic", "backstop"]


@pytest.mark.parametrize(
    ("expect", "passes"),
    [
        ("verdict: pass", True),
        ("verdict: drop", False),
        ("at: web0", True),
        ("at: eth0", False),
        ("rule: https", True),
        ("rule: 2", True),
        ('rule: "2"', True),
        ("rule: seen", False),
        ("rule: default", False),
        ("verdict: pass, at: web0, rule: 3", False),
    ],
)
def test_only_what_is_named_is_compared(expect: str, passes: bool) -> None:
    [result] = simulated(NATIVE, "to: web0, tcp: {dport: 443}", expect=expect)
    assert result.passed is passes


def test_a_packet_that_cannot_be_parsed_gets_the_default() -> None:
    for rule, passes in (("malformed", True), ("default", True), ("https", False)):
        [result] = simulated(NATIVE, f'hex: "{UNTAGGED}"', expect=f"at: web0, rule: {rule}")
        assert result.passed is passes


def test_a_copy_is_followed_to_where_it_is_expected() -> None:
    frame = f'hex: "{"ff" * 6} 0200000000fe 0806 0001 0800 0604 0001 {"00" * 20}"'
    for at, verdict in (("web0", "pass"), ("open0", "pass"), ("eth0", "pass")):
        [result] = simulated(NATIVE, frame, expect=f"at: {at}, verdict: {verdict}")
        assert result.passed


def test_bytes_are_those_that_come_out() -> None:
    frame = "020000000010 0200000000fe 0806" + "00" * 28
    for wanted, passes in ((frame, True), (frame[:-2] + "01", False)):
        [result] = simulated(NATIVE, f'hex: "{frame}"', expect=f'bytes: "{wanted}"')
        assert result.passed is passes


def test_more_policies_than_one_program_holds() -> None:
    rules = ", ".join(f"{{match: {{tcp.dport: {port}}}, action: pass}}" for port in range(600))
    names = [f"p{number}" for number in range(12)]
    devices = "  eth0: {kind: physical, xdp: {mode: MODE}}\n" + "".join(
        f"  {name}: {{kind: macvlan, parent: eth0, xdp: {{policy: {name}}}}}\n" for name in names
    )
    policies = "".join(f"  {name}: {{default: drop, rules: [{rules}]}}\n" for name in names)
    sent = [f"  - {{packet: {{to: {name}, tcp: {{dport: 599}}}}, "
            f"expect: {{verdict: pass, at: {name}, rule: 600}}}}\n" for name in names]  # fmt: skip
    for mode in ("native", "generic"):
        text = HEAD + devices.replace("MODE", mode) + "policies:\n" + policies + "tests:\n"
        results = list(check.run(load_texts({"edge.yaml": text + "".join(sent)})))
        assert [result.differences for result in results] == [()] * len(names)


def test_nothing_is_left_behind(netns: Netns) -> None:
    netns.ip("link", "add", "eth0", "type", "veth", "peer", "name", "wire0")
    before = netns.json("link")
    with netns.entered():
        simulated(NATIVE, "to: web0, arp: {}")
    assert netns.json("link") == before
    assert pins(netns) == []


def test_frames_of_a_capture(tmp_path: Path) -> None:
    from xdpctl.topology.load import load

    frames = [bytes.fromhex(f"0200000000{last}0200000000fe0806") for last in ("10", "11")]
    records = b"".join(struct.pack("<IIII", 0, 0, 14, 14) + frame for frame in frames)
    head = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    (tmp_path / "some.pcap").write_bytes(head + records)
    sent = "tests:\n" + "".join(
        f"  - {{packet: {{in: eth0, pcap: some.pcap, index: {index}}}, expect: {{at: {at}}}}}\n"
        for index, at in enumerate(("web0", "open0"))
    )
    (tmp_path / "edge.yaml").write_text(HEAD + NATIVE + POLICIES + sent)
    results = check.run(load([str(tmp_path / "edge.yaml")], captures=True))
    assert [result.differences for result in results] == [(), ()]
