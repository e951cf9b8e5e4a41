"""Teams: made in each mode, changed from one to another, and policed; nothing lost on the way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import pins, rules, verdicts
from tests.vm.guest.stage import Stage, parsed
from tests.vm.guest.test_bond_datapath import DB, TEXT, WEB, WIRES, BondRig
from xdpctl.apply import carry_out, run
from xdpctl.errors import ApplyError, KernelError, TopologyError, VerifyError
from xdpctl.host import snapshot
from xdpctl.host.team import Team
from xdpctl.topology.kinds.team import MODES

TEAM = "team0: {kind: team, mode: activebackup, ports: [eth1, eth2], state: up}\n"
STACKED = (
    TEAM.replace("[eth1, eth2]", "{eth1: {priority: 7, queue_id: 3}, eth2: {}}")
    + 'web0: {kind: macvlan, parent: team0, mode: bridge, address: "02:00:00:00:00:10", '
    "state: up}\n"
)


def options(team: str, port: str = "") -> dict[str, bytes | None]:
    """The kernel's own, of the team or of a port."""
    with Team() as opened:
        found = opened.options(socket.if_nametoindex(team))
    return found[socket.if_nametoindex(port) if port else 0]


def mode() -> str:
    return (options("team0")["mode"] or b"").rstrip(b"\0").decode()


def links() -> dict[str, Any]:
    """All links as the project reads them, but for what time alone changes."""
    return {link.name: asdict(link) for link in snapshot.read().links}


@pytest.mark.parametrize("wanted", MODES)
def test_made_in_each_mode(stage: Stage, wanted: str) -> None:
    text = TEAM.replace("activebackup", wanted)
    assert stage.apply(text).applied
    assert mode() == wanted
    assert stage.ports("team0") == {"eth1", "eth2"}
    for name in ("team0", "eth1", "eth2"):
        assert "UP" in stage.ip(name)["flags"]
    assert not stage.apply(text).applied
    stage.destroy()


@pytest.mark.parametrize("after", [one for one in MODES if one != "activebackup"])
def test_the_mode_changes_and_the_stack_stays(stage: Stage, after: str) -> None:
    stage.apply(STACKED)
    kept = {name: stage.index(name) for name in ("team0", "web0")}
    changed = STACKED.replace("activebackup", after)
    assert stage.steps(changed) == [
        "remove eth2 from team0",
        "remove eth1 from team0",
        f"set mode {after} of team0",
        "add eth1 to team0",
        "add eth2 to team0",
        "set priority 7 and queue_id 3 of port eth1",
    ]
    stage.apply(changed)
    assert mode() == after
    assert options("team0", "eth1")["queue_id"] == b"\3\0\0\0"
    assert stage.ports("team0") == {"eth1", "eth2"}
    stage.apply(STACKED)
    assert mode() == "activebackup"
    assert {name: stage.index(name) for name in kept} == kept
    for name in kept:
        assert "UP" in stage.ip(name)["flags"], name
    stage.destroy()


CHANGES = {
    "notify_peers_count": ("activebackup", 3, 5),
    "notify_peers_interval": ("activebackup", 100, 200),
    "mcast_rejoin_count": ("roundrobin", 1, 2),
    "mcast_rejoin_interval": ("roundrobin", 50, 60),
    "activeport": ("activebackup", "eth1", "eth2"),
    "lb_tx_method": ("loadbalance", "hash_to_port_mapping", "hash"),
    "lb_stats_refresh_interval": ("loadbalance", 20, 30),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_option(stage: Stage, name: str) -> None:
    of, first, second = CHANGES[name]
    text = TEAM.replace("activebackup", of).replace("state", f"{name}: VALUE, state")
    for value in (first, second, first):
        stage.apply(text.replace("VALUE", str(value)))
        assert stage.own("team0")[name] == value
    assert stage.steps(text.replace("VALUE", str(second))) == [f"set {name} {second} of team0"]
    stage.destroy()


def test_the_options_of_ports(stage: Stage) -> None:
    text = TEAM.replace("[eth1, eth2]", "{eth1: {OWN}, eth2: {queue_id: 3}}")
    first = "queue_id: 3, priority: 5, user_linkup: on, user_linkup_enabled: on, enabled: off"
    second = "queue_id: 4, priority: -5, user_linkup: off, user_linkup_enabled: off, enabled: on"
    for own in (first, second, first):
        stage.apply(text.replace("OWN", own))
    found = options("team0", "eth1")
    assert (found["queue_id"], found["priority"]) == (b"\3\0\0\0", b"\5\0\0\0")
    assert found["user_linkup"] == found["user_linkup_enabled"] == b""
    assert found["enabled"] is None
    assert options("team0", "eth2")["queue_id"] == b"\3\0\0\0"  # a queue serves several
    stage.destroy()


def test_ports_come_and_go_and_move(stage: Stage) -> None:
    two = TEAM + TEAM.replace("team0", "team1").replace("eth1, eth2", "eth3")
    stage.apply(two)
    stage.apply(two.replace("eth1, eth2", "eth1").replace("eth3", "eth3, eth2"))
    assert (stage.ports("team0"), stage.ports("team1")) == ({"eth1"}, {"eth2", "eth3"})
    stage.apply(TEAM.replace("eth1, eth2", "eth3, eth1"))
    assert stage.ports("team0") == {"eth1", "eth3"}
    stage.destroy()


def test_an_active_port_that_leaves_and_one_that_comes(stage: Stage) -> None:
    text = TEAM.replace("state", "activeport: eth1, state")
    stage.apply(text)
    stage.apply(text.replace("[eth1, eth2]", "[eth2, eth3]").replace("port: eth1", "port: eth3"))
    assert stage.own("team0")["activeport"] == "eth3"
    stage.apply(
        text.replace("activebackup, ports", "random, ports").replace("activeport: eth1,", "")
    )
    stage.apply(text)
    assert stage.own("team0")["activeport"] == "eth1"
    stage.destroy()


def test_address_and_mtu(stage: Stage) -> None:
    text = TEAM.replace("up}", 'up, address: "02:00:00:00:00:b0", mtu: 1400}')
    for number, value in enumerate(("roundrobin", "activebackup")):
        own = stage.ip("eth1")["address"] if number else ""
        stage.apply(text.replace("activebackup", value))
        assert stage.ip("team0")["address"] == "02:00:00:00:00:b0"
        assert stage.ip("eth1")["mtu"] == 1400
        assert own != stage.ip("eth1")["address"]
    stage.destroy()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (STACKED.replace("state", "activeport: eth2, state", 1),
         STACKED.replace("activebackup", "random")),
        (TEAM.replace("activebackup", "loadbalance, lb_tx_method: hash_to_port_mapping"),
         TEAM.replace("activebackup", "broadcast, notify_peers_count: 2")),
        (STACKED.replace("state", "activeport: eth1, state", 1), ""),
        (STACKED, STACKED.replace("priority: 7", "priority: 8, enabled: off")),
        (TEAM.replace("state", "activeport: eth2, state"),
         TEAM.replace("state", "activeport: eth1, state")),
    ],
)  # fmt: skip
def test_all_is_as_before_where_the_run_fails(
    stage: Stage, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.apply(before)
    was = links()

    def verify(again: object) -> None:
        raise VerifyError("sabotaged")

    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "verify", verify)
        with pytest.raises(ApplyError, match="sabotaged; everything done before was undone"):
            run.apply(parsed(after)) if after else run.destroy("edge")
    now = links()
    assert now == was
    assert stage.steps(before) == []
    stage.destroy()


def test_an_option_that_is_refused_undoes_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write in turn."""
    stage.apply(STACKED)
    was, original, failing = links(), Team.set, 0
    count = 0

    def refuse(team: Team, *arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise KernelError("sabotaged", 5)
        original(team, *arguments)

    monkeypatch.setattr(Team, "set", refuse)
    changed = STACKED.replace("activebackup", "roundrobin").replace("priority: 7", "priority: 8")
    for failing in (1, 2):  # noqa: B007 (read by `refuse`)
        count = 0
        with pytest.raises(ApplyError, match=r"sabotaged.*everything done before was undone"):
            run.apply(parsed(changed))
        assert links() == was
    failing = 0
    stage.apply(changed)
    stage.destroy()


def test_what_the_kernel_would_refuse_is_refused_before() -> None:
    for text, said in (
        (TEAM.replace("activebackup", "balance-rr"), "must be one of roundrobin, broadcast, act"),
        (TEAM.replace("state", "activeport: eth3, state"), "activeport 'eth3' is no port of team0"),
        (TEAM.replace("activebackup", "random, activeport: eth1"),
         "activeport needs mode activebackup, but mode is random"),
        (TEAM.replace("[eth1, eth2]", "{eth1: {queue_id: 16}}"), "team0 has 16 queues"),
        ("team0: {kind: team, xdp: {mode: native}}\n", "mode native: a team has none"),
    ):  # fmt: skip
        with pytest.raises(TopologyError, match=said):
            parsed(text)


# --- packets


@pytest.fixture
def teamed(netnses: Callable[[], Netns]) -> Iterator[BondRig]:
    made = BondRig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def on_a_team(mode: str) -> str:
    """The topology of the bonds' tests; eth2 is the active port, where one must be."""
    active = "activeport: eth2, " if mode == "activebackup" else ""
    text = TEXT.replace("kind: bond, mode: MODE, miimon: 50", f"kind: team, {active}mode: {mode}")
    return text.replace("bond0", "team0")


def police(teamed: BondRig, wire: str) -> None:
    """Frames by one wire: each meets its device's policy and no other, and is counted."""
    before = teamed.show()
    for to, device in ((WEB, "web0"), (DB, "db0")):
        teamed.send(to, 9000, by=wire, for_=device, count=4)
        teamed.send(to, 9001, by=wire, for_=device, count=3)
        teamed.send(to, 9999, by=wire, for_=device, count=2)
    assert teamed.received() == {("web0", 9000): 4, ("db0", 9001): 3}
    after = teamed.show()
    assert rules(after["team0"])["never"] - rules(before["team0"])["never"] == 4
    now, then = verdicts(after["web0"]), verdicts(before["web0"])
    assert now["pass"] - then.get("pass", 0) == 4
    assert now["drop"] - then.get("drop", 0) == 3


@pytest.mark.parametrize("at", range(len(MODES)), ids=MODES)
def test_frames_are_policed_on_a_team(teamed: BondRig, at: int) -> None:
    """In each mode, and in the next, to which it changes."""
    teamed.again(on_a_team(MODES[at]))
    for device in ("web0", "db0"):
        teamed.listen(device)
    for mode in (MODES[at], MODES[(at + 1) % len(MODES)]):
        teamed.again(on_a_team(mode))
        assert teamed.show()["team0"]["xdp"]["mode"] == "dispatched"  # natively on its ports
        for wire in WIRES[1:2] if mode == "activebackup" else WIRES[:2]:
            police(teamed, wire)
    teamed.destroy()
    assert pins(teamed.nic) == []
