"""VLANs: single, stacked, with maps and flags, on NICs and on bonds."""

from __future__ import annotations

import pytest

from tests.vm.guest.stage import Stage


def test_a_vlan_and_what_changes_in_place(stage: Stage) -> None:
    first = (
        "vlan7: {kind: vlan, parent: eth1, id: 7, gvrp: on, reorder_hdr: off, "
        'ingress-qos-map: "1:2 3:4", egress-qos-map: "0:1 5:6", state: up}\n'
    )
    stage.apply(first)
    index = stage.index("vlan7")
    seen = stage.data("vlan7")
    assert (seen["id"], seen["protocol"], seen["flags"]) == (7, "802.1Q", ["GVRP"])
    assert {(one["from"], one["to"]) for one in seen["ingress_qos"]} == {(1, 2), (3, 4)}
    second = (
        "vlan7: {kind: vlan, parent: eth1, id: 7, gvrp: off, reorder_hdr: on, mvrp: on, "
        "loose_binding: on, ingress-qos-map: [3:5], egress-qos-map: 5:6, state: up}\n"
    )
    stage.apply(second)
    assert stage.index("vlan7") == index
    seen = stage.data("vlan7")
    assert set(seen["flags"]) == {"REORDER_HDR", "MVRP", "LOOSE_BINDING"}
    assert {(one["from"], one["to"]) for one in seen["egress_qos"] if one["to"]} == {(5, 6)}
    stage.destroy()


@pytest.mark.parametrize(
    ("before", "after"), [("id: 7", "id: 8"), ("id: 7", "id: 7, protocol: 802.1ad")]
)
def test_another_tag_is_another_device(stage: Stage, before: str, after: str) -> None:
    text = (
        "vlan7: {kind: vlan, parent: eth1, id: 7, state: up}\n"
        'web0: {kind: macvlan, parent: vlan7, mode: bridge, address: "02:00:00:00:00:10",'
        " state: up}\n"
    )
    stage.apply(text)
    index = stage.index("vlan7"), stage.index("web0")
    stage.netns.ip("addr", "add", "192.0.2.7/24", "dev", "web0")
    stage.apply(text.replace(before, after))
    assert (stage.index("vlan7"), stage.index("web0")) != index
    assert stage.ip("web0")["link"] == "vlan7"
    assert stage.ip("web0")["address"] == "02:00:00:00:00:10"
    assert "192.0.2.7" in stage.netns.ip("addr", "show", "dev", "web0")
    stage.destroy()


def test_a_tag_in_a_tag(stage: Stage) -> None:
    text = (
        "outer: {kind: vlan, parent: eth1, id: 100, protocol: 802.1ad, state: up}\n"
        "inner: {kind: vlan, parent: outer, id: 7, state: up}\n"
        "web0: {kind: macvlan, parent: inner, mode: bridge, state: up}\n"
    )
    stage.apply(text)
    assert stage.data("outer")["protocol"] == "802.1ad"
    assert stage.data("inner")["protocol"] == "802.1Q"
    changed = text.replace("id: 100", "id: 101")
    stage.apply(changed)
    assert stage.data("outer")["id"] == 101
    assert stage.ip("web0")["link"] == "inner"
    stage.destroy()


def test_two_vlans_that_trade_their_tags(stage: Stage) -> None:
    text = "".join(f"v{n}: {{kind: vlan, parent: eth1, id: {n}, state: up}}\n" for n in (7, 8))
    stage.apply(text)
    stage.apply(text.replace("id: 7", "id: x").replace("id: 8", "id: 7").replace("id: x", "id: 8"))
    assert (stage.data("v7")["id"], stage.data("v8")["id"]) == (8, 7)


def test_down_stays_down_and_mtus_follow(stage: Stage) -> None:
    text = (
        "vlan7: {kind: vlan, parent: eth1, id: 7, mtu: 1400, state: down}\n"
        "vlan8: {kind: vlan, parent: eth1, id: 8, mtu: 1300, state: up}\n"
    )
    stage.apply(text)
    assert "UP" not in stage.ip("vlan7")["flags"]
    assert stage.ip("vlan8")["mtu"] == 1300
    stage.apply(text.replace("1300", "1400"))
    assert "UP" not in stage.ip("vlan7")["flags"]
    stage.destroy()


def test_a_vlan_that_follows_a_bridges_ports(stage: Stage) -> None:
    text = (
        "br0: {kind: bridge, ports: [eth1], vlan_filtering: on, vlan_default_pvid: 5, state: up}\n"
        "vlan7: {kind: vlan, parent: br0, id: 7, bridge_binding: on, state: up}\n"
    )
    stage.apply(text)
    assert stage.data("br0")["vlan_filtering"] == 1
    assert "BRIDGE_BINDING" in stage.data("vlan7")["flags"]
    stage.apply(text.replace("vlan_filtering: on", "vlan_filtering: off"))
    assert stage.data("br0")["vlan_filtering"] == 0
    stage.destroy()
