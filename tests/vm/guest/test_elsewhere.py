"""VLANs and dummies in other namespaces, alone and below macvlans."""

from __future__ import annotations

from collections.abc import Callable

from tests.kernel.conftest import Netns
from tests.vm.guest.stage import Stage


def test_they_are_made_there_moved_and_deleted(stage: Stage, netnses: Callable[[], Netns]) -> None:
    one, other = netnses(), netnses()
    text = (
        f"vlan7: {{kind: vlan, parent: eth1, id: 7, netns: {one.name}, state: up}}\n"
        f"web0: {{kind: macvlan, parent: vlan7, mode: bridge, netns: {one.name}, state: up}}\n"
        f"idle0: {{kind: dummy, netns: {one.name}, state: up, mtu: 1400}}\n"
    )
    stage.apply(text)
    assert names(one) == {"lo", "vlan7", "web0", "idle0"}
    assert {each["ifname"]: each.get("link") for each in one.json("link")}["web0"] == "vlan7"
    moved = text.replace(one.name, other.name)
    stage.apply(moved)
    assert (names(one), names(other)) == ({"lo"}, {"lo", "vlan7", "web0", "idle0"})
    home = moved.replace(f", netns: {other.name}", "")
    stage.apply(home)
    assert names(other) == {"lo"}
    assert stage.ip("web0")["link"] == "vlan7"
    stage.apply(moved)
    stage.destroy()
    assert names(other) == {"lo"}


def names(netns: Netns) -> set[str]:
    """The devices of a namespace."""
    return {each["ifname"] for each in netns.json("link")}
