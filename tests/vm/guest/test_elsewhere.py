"""VLANs and dummies in other namespaces, alone and below macvlans."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.containers import Yard, frame
from tests.kernel.rig import BROADCAST, Rig, rules
from tests.vm.guest.stage import Stage

MAC = "02:00:00:00:00:10"
TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  vlan7: {kind: vlan, parent: eth0, id: 7, state: up, xdp: {policy: seven}VLAN}
  web0:
    {kind: macvlan, parent: vlan7, address: "02:00:00:00:00:10", state: up,
     xdp: {policy: web}WEB}
policies:
  seven: {rules: [{name: seen, match: {ether.type: ip4}, action: count}]}
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}
"""


@pytest.fixture
def yard(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Yard]:
    made = Yard(rig, netnses)
    try:
        yield made
    finally:
        for each in made.containers:
            each.close()


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


def test_policies_of_a_vlan_and_of_what_stands_on_it_elsewhere(
    yard: Yard,
) -> None:
    """The VLAN in here or there, the macvlan in a container: each policy meets each frame once."""
    one = yard.container()
    # What comes to a VLAN in the container is counted there, too: a copy of each broadcast.
    for where, arrive in (("", {9000: 6}), (f", netns: {one.name}", {9000: 9, 9001: 3})):
        yard.rig.apply(TEXT.replace("VLAN", where).replace("WEB", f", netns: {one.name}"))
        for port in (9000, 9001):
            for to in (MAC, BROADCAST):
                frame_ = frame(to, port)
                for _ in range(3):
                    tagged = frame_[:12] + struct.pack("!HH", 0x8100, 7) + frame_[12:]
                    yard.rig.senders["wire"].send(tagged)
        assert yard.received() == [arrive]
        shown = yard.rig.show()
        assert rules(shown["vlan7"]) == {"seen": 12, "default": 12}
        assert rules(shown["web0"]) == {"only": 6, "default": 6}
        yard.rig.destroy()


def test_marks_that_become_longer_and_shorter_are_known_elsewhere(
    yard: Yard,
) -> None:
    """A VLAN with a policy makes the pipeline a deep one."""
    one = yard.container()
    deep = TEXT.replace("VLAN", "").replace("WEB", f", netns: {one.name}")
    deep = deep.replace("parent: vlan7", "parent: eth0")
    flat = "".join(line for line in deep.splitlines(keepends=True) if "seven" not in line)
    for text in (flat, deep, flat):
        yard.rig.apply(text)
        assert not yard.rig.plan(text).changed
        for port in (9000, 9001):
            for to in (MAC, BROADCAST):
                yard.send(to, port, 3)
        assert yard.received() == [{9000: 6}]
    assert rules(yard.rig.show()["web0"]) == {"only": 18, "default": 18}


def names(netns: Netns) -> set[str]:
    """The devices of a namespace."""
    return {each["ifname"] for each in netns.json("link")}
