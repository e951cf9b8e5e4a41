"""Every kind: created, planned again, changed, planned again, destroyed; nothing is left."""

from __future__ import annotations

import pytest

from tests.vm.guest.stage import Stage

BOND = "bond0: {kind: bond, mode: active-backup, miimon: 100, ports: [eth1, eth2], state: up}\n"
MANY = """\
bond0: {kind: bond, mode: 802.3ad, lacp_rate: fast, ports: [eth1, eth2], mtu: 1450, state: up}
trunk: {kind: vlan, parent: bond0, id: 10, state: up}
app[1-8]: {kind: macvlan, parent: trunk, mode: bridge, address: {base: "02:00:00:02:00:00"},
           state: up}
vm[1-3]: {kind: macvtap, parent: bond0, mode: vepa, state: up}
br0: {kind: bridge, ports: [eth3, v0, d0], vlan_filtering: on, stp_state: on, state: up}
v0: {kind: veth, peer: v1, state: up}
v1: {kind: veth, peer: v0, state: up}
d0: {kind: dummy, state: up}
t0: {kind: tap, multi_queue: on, state: up}
vx: {kind: vxlan, id: 7, parent: bond0, remote: 192.0.2.1, dstport: 4789, state: up}
"""

KINDS = {
    "dummy": (
        'd0: {kind: dummy, address: "02:00:00:00:00:d0", mtu: 9000, state: up}\n',
        "d0: {kind: dummy, mtu: 1280, txqueuelen: 7, arp: off, state: down}\n",
    ),
    "macvlan on a bond": (
        BOND + "web0: {kind: macvlan, parent: bond0, mode: bridge, bcqueuelen: 50, state: up}\n",
        BOND + "web0: {kind: macvlan, parent: bond0, mode: private, bcqueuelen: 60, state: up}\n",
    ),
    "macvlan on a dummy": (
        "d0: {kind: dummy, state: up}\nweb0: {kind: macvlan, parent: d0, mode: bridge, state: up}",
        "d0: {kind: dummy, state: up}\nweb0: {kind: macvlan, parent: d0, mode: passthru}\n",
    ),
    "macvtap": (
        "vm0: {kind: macvtap, parent: eth1, mode: vepa, state: up}\n",
        "vm0: {kind: macvtap, parent: eth2, mode: bridge, mtu: 1400, state: up}\n",
    ),
    "source macvlan": (
        'm0: {kind: macvlan, parent: eth1, mode: source, macaddr: ["02:11:00:00:00:01"]}\n',
        'm0: {kind: macvlan, parent: eth1, mode: source, macaddr: ["02:11:00:00:00:02"]}\n',
    ),
    "veth": (
        "v0: {kind: veth, peer: v1, mtu: 1400, state: up}\nv1: {kind: veth, peer: v0}\n",
        "v0: {kind: veth, peer: v2, state: up}\nv2: {kind: veth, peer: v0, state: up}\n",
    ),
    "tap": (
        "t0: {kind: tap, state: up, user: 7}\n",
        "t0: {kind: tap, state: down, user: 8, mtu: 1400}\n",
    ),
    "vxlan": (
        "vx: {kind: vxlan, id: 7, dstport: 4789, remote: 192.0.2.1, ttl: 5, state: up}\n",
        "vx: {kind: vxlan, id: 7, dstport: 4789, remote: 192.0.2.2, ttl: 6, ageing: 60}\n",
    ),
    "vxlan with another id": (
        "vx: {kind: vxlan, id: 7, dstport: 4789, parent: eth1, state: up}\n",
        "vx: {kind: vxlan, id: 8, dstport: 4789, parent: eth2, state: up}\n",
    ),
    "bridge": (
        "br0: {kind: bridge, ports: {eth1: {cost: 5}}, vlan_filtering: on, ageing_time: 900}\n",
        "br0: {kind: bridge, ports: {eth1: {cost: 9, hairpin: on}, eth2: {}}, stp_state: on,"
        " vlan_filtering: off, vlan_protocol: 802.1ad, mcast_snooping: off, state: up}\n",
    ),
    "bond in a bridge": (
        BOND + "br0: {kind: bridge, ports: [bond0], state: up}\n",
        BOND.replace("active-backup", "balance-xor")
        + "br0: {kind: bridge, ports: [bond0, eth3], state: up}\n",
    ),
    "many": (
        MANY,
        MANY.replace("802.3ad, lacp_rate: fast", "balance-xor, xmit_hash_policy: layer3+4")
        .replace("id: 10", "id: 11").replace("1450", "1440").replace("app[1-8]", "app[3-9]"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_there_changed_back_and_gone(stage: Stage, kind: str) -> None:
    first, second = KINDS[kind]
    assert stage.apply(first).applied
    assert stage.apply(second).applied
    assert stage.apply(first).applied
    stage.destroy()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_plan_says_is_what_is_done(stage: Stage, kind: str) -> None:
    """Between two files, nothing that both name alike is touched."""
    first, _ = KINDS[kind]
    stage.apply(first)
    before = stage.netns.json("link", "show")
    assert not stage.apply(first).applied
    assert [_still(one) for one in stage.netns.json("link", "show")] == [_still(x) for x in before]


def _still(link: dict[str, object]) -> dict[str, object]:
    """What time alone does not change (an operational state, a timer)."""
    assert isinstance(link["flags"], list)
    flags = {"flags": [flag for flag in link["flags"] if flag != "NO-CARRIER"]}
    return {key: link[key] for key in ("ifname", "ifindex", "address", "mtu")} | flags
