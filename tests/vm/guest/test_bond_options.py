"""Every option of a bond in every mode that has it: set, read back, changed, read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vm.guest.stage import Stage
from xdpctl.topology.kinds.bond import MODES, PROPERTIES

CHANGES: dict[str, tuple[Any, Any]] = {
    "miimon": (100, 50),
    "updelay": (200, 400),
    "downdelay": (300, 500),
    "peer_notify_delay": (100, 200),
    "use_carrier": (True, True),  # 6.18 knows nothing else
    "arp_interval": (100, 200),
    "arp_validate": ("active", "filter_backup"),
    "arp_all_targets": ("all", "any"),
    "arp_ip_target": (["192.0.2.1", "192.0.2.2"], ["192.0.2.3"]),
    "ns_ip6_target": (["2001:db8::1"], ["2001:db8::2", "2001:db8::3"]),
    "primary": ("eth1", "eth2"),
    "primary_reselect": ("better", "failure"),
    "fail_over_mac": ("active", "follow"),
    "xmit_hash_policy": ("layer3+4", "encap2+3"),
    "resend_igmp": (7, 0),
    "num_grat_arp": (5, 9),
    "all_slaves_active": ("delivered", "dropped"),
    "min_links": (1, 0),
    "lp_interval": (3, 4),
    "packets_per_slave": (9, 0),
    "tlb_dynamic_lb": (False, True),
    "lacp_rate": ("fast", "slow"),
    "lacp_active": (False, True),
    "ad_select": ("bandwidth", "count"),
    "ad_user_port_key": (77, 1023),
    "ad_actor_sys_prio": (7, 40000),
    "ad_actor_system": ("02:00:00:00:0a:01", "02:00:00:00:0a:02"),
    "arp_missed_max": (4, 5),
}
"""Two values of each. What is missing here is said in UNTESTED."""

UNTESTED = {"mode", "coupled_control", "numtxqueues", "numrxqueues"}
"""mode is the parameter, coupled_control is of 6.8 and later, queues are every kind's."""

MII = ("miimon", "updelay", "downdelay", "peer_notify_delay")
ARP = ("arp_interval", "arp_validate", "arp_all_targets", "arp_ip_target", "ns_ip6_target")


def options(mode: str, number: int, without: tuple[str, ...]) -> dict[str, Any]:
    """The values of all options that mean something in the mode."""
    rows = {row.name: row for row in PROPERTIES}
    return {
        name: values[number]
        for name, values in CHANGES.items()
        if name not in without
        and all(key != "mode" or mode in takes for key, takes in rows[name].only_with)
    }


def bond(mode: str, given: dict[str, Any]) -> str:
    """The YAML of a bond with two ports."""
    settings = "".join(f", {name}: {json.dumps(value)}" for name, value in given.items())
    return f"bond0: {{kind: bond, mode: {mode}, ports: [eth1, eth2], state: up{settings}}}\n"


def test_the_table_is_covered() -> None:
    assert {row.name for row in PROPERTIES} == CHANGES.keys() | UNTESTED


@pytest.mark.parametrize("monitor", ["mii", "arp"])
@pytest.mark.parametrize("mode", MODES)
def test_every_option_in_every_mode(stage: Stage, mode: str, monitor: str) -> None:
    without = ARP if monitor == "mii" else MII
    if monitor == "arp" and mode in ("802.3ad", "balance-tlb", "balance-alb"):
        pytest.skip("the mode has no ARP monitoring")
    for number in (0, 1):
        given = options(mode, number, without)
        stage.apply(bond(mode, given))
        own = stage.own("bond0")
        for name, value in given.items():
            wanted = tuple(value) if isinstance(value, list) else value
            assert own[name] == wanted, name
        assert stage.ports("bond0") == {"eth1", "eth2"}
        seen = stage.data("bond0")
        assert seen["mode"] == mode
        assert seen["xmit_hash_policy"] == given["xmit_hash_policy"]
        assert seen["resend_igmp"] == given["resend_igmp"]
        assert seen["primary_reselect" if "primary" in given else "mode"] in (
            given.get("primary_reselect"), mode,
        )  # fmt: skip
    stage.destroy()
