"""Devices as they come out: expanded, canonical, in order."""

from typing import Any

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology.checks.stack import MOST_HINTS
from xdpctl.topology.expand import derived_address
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology, Xdp

HEAD = "version: 1\nname: t\ndevices:\n"


def loaded(devices: str, policies: str = "") -> Topology:
    return load_texts({"t": HEAD + devices + policies})


def told(devices: str) -> list[str]:
    with pytest.raises(TopologyError) as error:
        loaded(devices)
    return [problem.message for problem in error.value.problems]


def test_numbers_and_strings_mean_the_same() -> None:
    one = loaded("  bond0: {kind: bond, mode: 1, miimon: 100, mtu: 0x5dc}\n")
    other = loaded('  bond0: {kind: "bond", mode: active-backup, miimon: "100", mtu: "1500"}\n')
    assert one.devices["bond0"].properties == other.devices["bond0"].properties
    assert one.devices["bond0"].properties == {"mode": "active-backup", "miimon": 100, "mtu": 1500}


def test_no_ports_are_not_the_same_as_no_list() -> None:
    found = loaded("  a: {kind: bond, ports: []}\n  b: {kind: bond}\n")
    assert [found.devices[name].portless for name in "ab"] == [True, False]
    assert [found.devices[name].ports for name in "ab"] == [(), ()]


def test_dashes_and_aliases_are_the_tables_names() -> None:
    found = loaded("  bond0: {kind: bond, mode: 4, lacp-rate: 1, num-unsol-na: 3}\n")
    assert found.devices["bond0"].properties == {
        "mode": "802.3ad",
        "lacp_rate": "fast",
        "num_grat_arp": 3,
    }
    vlan = loaded(
        "  eth0: {kind: physical}\n  v: {kind: vlan, parent: eth0, id: 1, ingress_qos_map: '1:2'}\n"
    )
    assert vlan.devices["v"].properties["ingress-qos-map"] == ((1, 2),)


def test_range_counts_addresses_and_ids() -> None:
    found = loaded(
        "  eth0: {kind: physical}\n"
        '  t[08-10]: {kind: macvlan, parent: eth0, address: {base: "02-00-00-00-00-FA"}}\n'
        "  v[5-6]: {kind: vlan, parent: eth0, id: {base: 100}}\n"
    )
    addresses = [found.devices[name].properties["address"] for name in ("t08", "t09", "t10")]
    assert addresses == ["02:00:00:00:01:02", "02:00:00:00:01:03", "02:00:00:00:01:04"]
    assert [found.devices[name].properties["id"] for name in ("v5", "v6")] == [105, 106]


def test_ranges_stand_on_ranges() -> None:
    found = loaded(
        "  e[0-3]: {kind: physical}\n"
        "  b[7-8]: {kind: bond, ports: ['e[0-1]', {'e[2-3]': {queue_id: 3}}]}\n"
        "  v[1-2]: {kind: veth, peer: 'p[1-2]'}\n"
        "  p[1-2]: {kind: veth, peer: 'v[1-2]'}\n"
        "  m[1-2]: {kind: macvlan, parent: 'b[7-8]'}\n"
        "  br0: {kind: bridge, ports: ['p[1-2]']}\n"
    )
    assert found.devices["b7"].ports == ("e0", "e2")
    assert found.devices["b8"].ports == ("e1", "e3")
    assert found.devices["b8"].port_properties == {"e3": {"queue_id": 3}}
    assert found.devices["v2"].properties["peer"] == "p2"
    assert found.devices["m2"].parent == "b8"
    assert found.devices["br0"].ports == ("p1", "p2")


def test_lower_before_upper() -> None:
    found = loaded(
        "  m0: {kind: macvlan, parent: v0}\n"
        "  v0: {kind: vlan, parent: b0, id: 5}\n"
        "  b0: {kind: bond, ports: [e1, e0]}\n"
        "  d0: {kind: dummy}\n"
        "  e0: {kind: physical}\n"
        "  e1: {kind: physical}\n"
    )
    assert list(found.devices) == ["e1", "e0", "b0", "v0", "m0", "d0"]


def test_derived_addresses_are_stable_unicast_and_local() -> None:
    found = loaded(
        "  eth0: {kind: physical}\n  eth1: {kind: physical}\n"
        "  a: {kind: macvlan, parent: eth0}\n  b: {kind: macvtap, parent: eth0}\n"
        "  c: {kind: macvlan, parent: eth1, mode: passthru}\n  d: {kind: dummy}\n"
    )
    assert found.devices["a"].properties == {"address": "86:fd:a2:e9:0c:bc"}
    assert found.devices["a"].properties["address"] == derived_address("t", "a")
    assert found.devices["b"].properties["address"] != derived_address("t", "a")
    assert "address" not in found.devices["c"].properties
    assert "address" not in found.devices["d"].properties
    for number in range(500):
        first = int(derived_address("t", f"x{number}")[:2], 16)
        assert first & 3 == 2


def test_what_is_left_out_is_not_there() -> None:
    device = loaded("  eth0: {kind: physical}\n").devices["eth0"]
    assert (device.properties, device.ports, device.parent, device.xdp, device.match) == (
        {}, (), None, None, {},
    )  # fmt: skip


def test_xdp_and_match() -> None:
    found = loaded(
        "  eth0:\n    kind: physical\n    match: {mac: 02-00-00-00-00-0A, driver: veth}\n"
        "    xdp: {enabled: no, mode: generic, policy: p, unknown: drop}\n"
        "  m: {kind: macvlan, parent: eth0, xdp: {flood: drop}}\n",
        "policies:\n  p: {}\n",
    )
    assert found.devices["eth0"].match == {"mac": "02:00:00:00:00:0a", "driver": "veth"}
    assert found.devices["eth0"].xdp == Xdp("p", False, "generic", "drop", "enforce")
    assert found.devices["m"].xdp == Xdp(flood="drop")


def test_ports_that_are_no_devices_are_nics() -> None:
    found = loaded("  bond0: {kind: bond, ports: [ens1f0, ens1f1]}\n")
    assert list(found.devices) == ["ens1f0", "ens1f1", "bond0"]
    nic = found.devices["ens1f1"]
    assert (nic.kind, nic.properties, str(nic.location)) == ("physical", {}, "t:4:39")


def test_a_misspelt_port_is_no_nic() -> None:
    listed = "  eth1: {kind: physical}\n  eth2: {kind: physical}\n"
    assert told(listed + "  b0: {kind: bond, ports: [eth1, eth3]}\n") == [
        "unknown port 'eth3' (did you mean eth2?)"
    ]
    assert told(listed + "  b0: {kind: bond, ports: [eht1]}\n") == [
        "unknown port 'eht1' (did you mean eth1?)"
    ]


@pytest.mark.parametrize(
    "section", ["devices:", "devices: {}", "devices: ~", "devices:\npolicies:"]
)
def test_a_topology_may_have_no_devices(section: str) -> None:
    assert load_texts({"t": f"version: 1\nname: t\n{section}\n"}).devices == {}


def test_unknown_names_in_bulk_stay_cheap() -> None:
    """A hint for each of thousands of unknown names among thousands would take minutes: only the
    first ones get one.
    """
    lines = "".join(f"  m{n}: {{kind: macvlan, parent: x{n}, bogus{n}: 1}}\n" for n in range(1500))
    more = "".join(f"  n{n}: {{kind: macvlan, parent: y{n}}}\n" for n in range(1500))
    problems: Any = told(lines + more)
    assert len(problems) == 4500
    assert sum("unknown parent" in problem for problem in problems) == 3000
    assert sum("did you mean" in problem for problem in problems) <= 2 * MOST_HINTS


def test_messages_are_one_line_of_bounded_length() -> None:
    """What they quote from the file may have line breaks, or no end."""
    assert told("  eth0: {kind: physi\n\n   cal}\n") == [
        "kind must be physical, macvlan, macvtap, veth, bridge, vlan, bond, team, tap, dummy or "
        "vxlan, not physi cal (did you mean physical?)"
    ]
    (message,) = told(f"  eth0: {{kind: dummy, mtu: {'9' * 100_000}}}\n")
    assert len(message) < 500
