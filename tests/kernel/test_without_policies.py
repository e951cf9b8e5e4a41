"""What is asked of XDP where there is no policy: `unknown: drop` and `flood: drop` alone."""

from __future__ import annotations

import pytest

from tests.kernel.rig import BROADCAST, DB, STRANGER, WEB, Rig, verdicts

pytestmark = pytest.mark.kernel

TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, state: up, xdp: {mode: MODE, unknown: drop}}
  web0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up}
  db0: {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:11", state: up}
"""
FLOODED = "{kind: macvlan, parent: eth0, "
QUIET = "{kind: macvlan, parent: eth0, xdp: {flood: drop}, "
MODES = pytest.mark.parametrize("mode", ["native", "generic"])


def start(rig: Rig, text: str) -> None:
    rig.apply(text)
    assert [one.summary() for one in rig.plan(text).operations] == []


@MODES
def test_strangers_frames_are_dropped(rig: Rig, mode: str) -> None:
    start(rig, TEXT.replace("MODE", mode))
    seen = rig.watch(rig.nic, "eth0")
    rig.listen("web0", (9000,))
    rig.send(STRANGER, 9000, count=3)
    rig.send(WEB, 9000, for_="web0", count=4)
    rig.send(BROADCAST, 9000, count=2)
    assert rig.received() == {("web0", 9000): 6}
    show = rig.show()
    assert (verdicts(show["eth0"]), show["eth0"]["xdp"]["mode"]) == ({"drop": 3}, mode)
    assert show["web0"]["xdp"]["mode"] == "none"
    came = set()
    while True:
        try:
            came.add(seen.recv(2048)[:6])
        except BlockingIOError:
            break
    assert came == {bytes.fromhex(WEB.replace(":", "")), b"\xff" * 6}


@MODES
def test_broadcast_is_dropped_for_one_device(rig: Rig, mode: str) -> None:
    loud = TEXT.replace("MODE, unknown: drop", mode)
    quiet = loud.replace(f"web0: {FLOODED}", f"web0: {QUIET}")
    start(rig, quiet)
    for device in ("web0", "db0"):
        rig.listen(device, (9000,))
    rig.send(BROADCAST, 9000, count=3)
    rig.send(WEB, 9000, for_="web0", count=4)
    rig.send(BROADCAST, 9000, by="db0", count=2)
    rig.send(WEB, 9000, by="db0", for_="web0", count=5)
    assert rig.received() == {("web0", 9000): 9, ("db0", 9000): 3}
    show = rig.show()
    assert verdicts(show["web0"]) == {"drop": 5, "pass": 9}
    assert (show["web0"]["xdp"]["policy"], show["web0"]["xdp"]["rules"]) == (None, [])
    assert show["db0"]["xdp"]["mode"] == "none"
    start(rig, loud)
    rig.send(BROADCAST, 9000, count=3)
    assert rig.received() == {("web0", 9000): 3, ("db0", 9000): 3}


def test_a_policy_takes_its_place_and_goes_again(rig: Rig) -> None:
    loud = TEXT.replace("MODE, unknown: drop", "native")
    quiet = loud.replace(f"web0: {FLOODED}", f"web0: {QUIET}")
    policed = quiet.replace("{flood: drop}", "{flood: drop, policy: p}") + (
        "policies: {p: {default: drop}}\n"
    )
    start(rig, quiet)
    rig.listen("web0", (9000,))
    changes = {one.device: one.changes for one in rig.plan(policed).actions}
    assert {name: (one.before, one.after) for name, one in changes["web0"].items()} == {
        "xdp.policy": (None, "p")
    }
    start(rig, policed)
    rig.send(WEB, 9000, for_="web0", count=4)
    assert rig.received() == {}
    start(rig, quiet)
    rig.send(WEB, 9000, for_="web0", count=4)
    rig.send(BROADCAST, 9000, count=3)
    assert rig.received() == {("web0", 9000): 4}
    actions = [(one.op, one.device) for one in rig.plan(loud).actions]
    assert actions == [("detach", "eth0"), ("detach", "web0")]
    rig.send(DB, 9000, for_="web0")
    assert rig.received() == {}
