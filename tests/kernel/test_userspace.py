"""`userspace`: frames go to a program's AF_XDP socket, which finds its place by a pin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.userspace.consumer import CHUNKS, Consumer
from tests.kernel.conftest import eventually
from tests.kernel.inside import pipeline
from tests.kernel.rig import BROADCAST, DB, WEB, Rig, Traffic, rules
from tests.kernel.rig import pins as pins_of
from tests.kernel.test_actions import counted, frame, more

pytestmark = pytest.mark.kernel

TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up}}
policies:
  web:
    default: drop
    rules:
      - {{name: only, match: {{udp.dport: 9000}}, action: pass}}
      - {{name: taken, match: {{udp.dport: 9001}}, action: {{userspace: mine}}}}
"""
PIN = "edge/userspace-mine@eth0"
MORE = "".join(
    f"      - {{name: r{n}, match: {{udp.dport: {n + 1}}}, action: pass}}\n" for n in range(40)
)
EDITED = TEXT.replace("    rules:\n", "    rules:\n      - {name: all, action: count}\n")
REBUILT = TEXT.replace("    rules:\n", "    rules:\n" + MORE)


@contextmanager
def consuming(rig: Rig, name: str = "mine", device: str = "eth0") -> Iterator[Consumer]:
    """A consumer of the device's first queue, in the map that is pinned for it."""
    path = Path("/sys/fs/bpf/xdpctl") / rig.nic.name / "edge" / f"userspace-{name}@{device}"
    with rig.nic.entered(), Consumer(device) as consumer:
        consumer.enter(path)
        yield consumer


def listening(rig: Rig, text: str = TEXT) -> Rig:
    rig.apply(text)
    rig.listen("web0")
    rig.listen("db0")
    return rig


def send(rig: Rig, count: int, first: int = 0, port: int = 9001) -> list[bytes]:
    """Frames that differ, one after another."""
    sent = [frame(port=port, payload=bytes([n + first]) * (20 + n)) for n in range(count)]
    for each in sent:
        rig.senders["wire"].send(each)
    return sent


@pytest.mark.parametrize("where", ["device", "root", "generic root"])
def test_a_consumer_gets_the_rules_frames_and_no_others(rig: Rig, where: str) -> None:
    text = TEXT
    if where != "device":
        mode = "native" if where == "root" else "generic"
        text = text.replace(",\n         xdp: {policy: web}", "").replace(
            "{kind: physical}", f"{{kind: physical, xdp: {{policy: web, mode: {mode}}}}}"
        )
    listening(rig, text)
    device = "web0" if where == "device" else "eth0"
    before = counted(rig, device)
    with consuming(rig) as consumer:
        sent = send(rig, 20)
        send(rig, 3, port=9000)
        send(rig, 2, port=9002)
        assert rig.received() == {("web0", 9000): 3}
        assert list(consumer.frames()) == sent
    assert more(counted(rig, device), before) == {"redirect": 20, "pass": 3, "drop": 2}


def test_many_rounds_of_the_ring(rig: Rig) -> None:
    listening(rig)
    with consuming(rig) as consumer:
        for _ in range(5):
            sent = send(rig, CHUNKS - 1)
            found: list[bytes] = []

            def come(found: list[bytes] = found) -> bool:
                found += consumer.frames()
                return len(found) >= CHUNKS - 1

            assert eventually(come)
            assert found == sent


def test_without_a_consumer_they_are_dropped(rig: Rig) -> None:
    listening(rig)
    before = counted(rig)
    send(rig, 3)
    assert rig.received() == {}
    with consuming(rig) as consumer:
        sent = send(rig, 2)
        assert rig.received() == {}
        assert list(consumer.frames()) == sent
    send(rig, 4)
    assert rig.received() == {}
    assert more(counted(rig), before) == {"redirect": 9}


def test_frames_of_the_tc_hook_are_dropped_and_not_passed(rig: Rig) -> None:
    """Clones and a sibling's frames are skbs, which no such socket takes."""
    listening(rig)
    with consuming(rig) as consumer:
        rig.send(BROADCAST, 9001, count=2)
        rig.send(WEB, 9001, by="db0", for_="web0", count=3)
        assert ("web0", 9001) not in rig.received()
        assert list(consumer.frames()) == []
    assert rules(rig.show()["web0"])["taken"] == 5


def test_the_socket_outlives_an_edit_and_a_rebuild(rig: Rig) -> None:
    """Under traffic: every frame gets there, whichever program is in force."""
    listening(rig)
    with consuming(rig) as consumer:
        got = 0
        before = pipeline(rig).maps
        with Traffic(rig, [(WEB, 9001, "web0")], pause=0.002) as traffic:
            for text in (EDITED, TEXT, REBUILT, TEXT):
                rig.apply(text)
                got += len(list(consumer.frames()))
            assert eventually(lambda: traffic.sent["web0", 9001] > 50)
            got += len(list(consumer.frames()))
        rig.received()
        got += len(list(consumer.frames()))
        after = pipeline(rig).maps
        assert before["xdpctl_counters"] != after["xdpctl_counters"], "it was rebuilt"
        assert before["xdpctl_xsk0"] == after["xdpctl_xsk0"]
        assert got == traffic.sent["web0", 9001]


def test_two_names_and_two_roots_have_maps_of_their_own(rig: Rig) -> None:
    rig.nic.ip("link", "add", "eth1", "type", "veth", "peer", "name", "wire1")
    for device in ("eth1", "wire1"):
        rig.nic.ip("link", "set", device, "up")
    text = TEXT + "      - {name: more, match: {udp.dport: 9002}, action: {userspace: yours}}\n"
    text = text.replace("  eth0:", "  eth1: {kind: physical, xdp: {policy: web}}\n  eth0:")
    listening(rig, text)
    names = {f"edge/userspace-{name}@{root}" for name in ("mine", "yours")
             for root in ("eth0", "eth1")}  # fmt: skip
    assert {pin for pin in pins_of(rig.nic) if "userspace" in pin} == names
    with consuming(rig) as mine, consuming(rig, "mine", "eth1") as other:
        sent = send(rig, 3)
        send(rig, 3, port=9002)
        rig.received()
        assert (list(mine.frames()), list(other.frames())) == (sent, [])


def test_pins_go_with_the_rule_and_with_the_topology(rig: Rig) -> None:
    rig.apply(TEXT)
    assert PIN in pins_of(rig.nic)
    rig.apply(TEXT.replace("{userspace: mine}", "{userspace: yours}"))
    assert {pin for pin in pins_of(rig.nic) if "userspace" in pin} == {"edge/userspace-yours@eth0"}
    rig.apply(TEXT.replace("{userspace: mine}", "drop"))
    assert not any("userspace" in pin for pin in pins_of(rig.nic))
    rig.apply(TEXT)
    assert PIN in pins_of(rig.nic)
    rig.destroy()
    assert pins_of(rig.nic) == []


def test_a_rule_that_goes_in_a_rebuild_takes_its_pin_along(rig: Rig) -> None:
    rig.apply(TEXT)
    rig.apply(REBUILT.replace("{userspace: mine}", "{userspace: yours}"))
    assert {pin for pin in pins_of(rig.nic) if "userspace" in pin} == {"edge/userspace-yours@eth0"}
    assert not rig.plan(REBUILT.replace("{userspace: mine}", "{userspace: yours}")).changed
    with consuming(rig, "yours") as consumer:
        sent = send(rig, 2)
        rig.send(WEB, 1, count=1)
        assert eventually(lambda: counted(rig).get("redirect", 0) >= 2)
        assert list(consumer.frames()) == sent


def test_a_pin_that_somebody_removed(rig: Rig) -> None:
    """It is found missing, and comes back: nobody could enter otherwise."""
    rig.apply(TEXT)
    (Path("/sys/fs/bpf/xdpctl") / rig.nic.name / PIN).unlink()
    assert rig.plan(TEXT).changed
    rig.apply(TEXT)
    assert PIN in pins_of(rig.nic)
    assert not rig.plan(TEXT).changed
