"""Changes of a live bond: with the least that the kernel asks for, and nothing lost."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from itertools import count

import pytest

from tests.vm.guest.stage import Stage, parsed
from xdpctl.apply import run
from xdpctl.errors import ApplyError, KernelError
from xdpctl.plan.operation import Operation
from xdpctl.topology.kinds.bond import MODES

BACKUP = "bond0: {kind: bond, mode: active-backup, miimon: 100, ports: [eth1, eth2], state: up}\n"
STACKED = (
    BACKUP
    + "vlan7: {kind: vlan, parent: bond0, id: 7, state: up}\n"
    + 'web0: {kind: macvlan, parent: bond0, mode: bridge, address: "02:00:00:00:00:10", '
    "state: up}\n"
)


def test_miimon_changes_in_place(stage: Stage) -> None:
    stage.apply(BACKUP)
    index = stage.index("bond0")
    changed = BACKUP.replace("miimon: 100", "miimon: 200")
    assert stage.steps(changed) == ["set miimon 200 of bond0"]
    stage.apply(changed)
    assert stage.data("bond0")["miimon"] == 200
    assert stage.index("bond0") == index


def test_monitoring_by_arp_instead_of_mii_and_back(stage: Stage) -> None:
    stage.apply(BACKUP)
    arp = BACKUP.replace("miimon: 100", "arp_interval: 250, arp_ip_target: [192.0.2.1]")
    stage.apply(arp)
    assert stage.data("bond0")["arp_interval"] == 250
    assert stage.data("bond0").get("miimon", 0) == 0
    stage.apply(BACKUP)
    assert stage.data("bond0")["miimon"] == 100
    assert stage.data("bond0").get("arp_interval", 0) == 0


@pytest.mark.parametrize("after", [mode for mode in MODES if mode != "active-backup"])
def test_the_mode_changes_and_the_stack_stays(stage: Stage, after: str) -> None:
    stage.apply(STACKED)
    kept = {name: stage.index(name) for name in ("bond0", "vlan7", "web0")}
    changed = STACKED.replace("active-backup", after)
    stage.apply(changed)
    assert stage.data("bond0")["mode"] == after
    assert stage.ports("bond0") == {"eth1", "eth2"}
    assert {name: stage.index(name) for name in kept} == kept
    for name in kept:
        assert "UP" in stage.ip(name)["flags"], name
    stage.apply(STACKED)
    assert stage.data("bond0")["mode"] == "active-backup"
    assert {name: stage.index(name) for name in kept} == kept
    stage.destroy()


def test_ports_come_and_go(stage: Stage) -> None:
    stage.apply(BACKUP)
    index = stage.index("bond0")
    for ports in ("eth1, eth2, eth3", "eth3", "eth2, eth1"):
        stage.apply(BACKUP.replace("eth1, eth2", ports))
        assert stage.ports("bond0") == set(ports.split(", "))
    assert stage.index("bond0") == index


def test_a_port_moves_from_one_bond_to_another(stage: Stage) -> None:
    two = "bond{}: {{kind: bond, mode: active-backup, miimon: 100, ports: [{}], state: up}}\n"
    stage.apply(two.format(0, "eth1, eth2") + two.format(1, "eth3"))
    stage.apply(two.format(0, "eth1") + two.format(1, "eth3, eth2"))
    assert (stage.ports("bond0"), stage.ports("bond1")) == ({"eth1"}, {"eth2", "eth3"})
    stage.apply(two.format(0, "eth3") + two.format(1, "eth1, eth2"))
    assert (stage.ports("bond0"), stage.ports("bond1")) == ({"eth3"}, {"eth1", "eth2"})


def test_the_ports_own_properties(stage: Stage) -> None:
    text = BACKUP.replace("[eth1, eth2]", "{eth1: {queue_id: 1, prio: 10}, eth2: {queue_id: 2}}")
    stage.apply(text)
    assert stage.ip("eth1")["linkinfo"]["info_slave_data"]["queue_id"] == 1
    assert stage.ip("eth2")["linkinfo"]["info_slave_data"]["queue_id"] == 2
    changed = text.replace("{queue_id: 2}", "{queue_id: 3, prio: -5}")
    assert stage.steps(changed) == ["set queue_id 3 and prio -5 of port eth2"]
    stage.apply(changed)
    assert stage.ip("eth2")["linkinfo"]["info_slave_data"]["queue_id"] == 3


def test_the_ports_trade_queues(stage: Stage) -> None:
    text = BACKUP.replace("[eth1, eth2]", "{eth1: {queue_id: 1}, eth2: {queue_id: 2}}")
    stage.apply(text)
    stage.apply(BACKUP.replace("[eth1, eth2]", "{eth1: {queue_id: 2}, eth2: {queue_id: 1}}"))
    assert stage.ip("eth1")["linkinfo"]["info_slave_data"]["queue_id"] == 2


def test_the_primary_is_the_one_that_carries(stage: Stage) -> None:
    stage.apply(BACKUP.replace("state", "primary: eth2, state"))
    assert stage.data("bond0")["primary"] == "eth2"
    stage.apply(BACKUP.replace("state", "primary: eth1, state"))
    assert stage.data("bond0")["primary"] == "eth1"


def test_a_primary_that_leaves(stage: Stage) -> None:
    stage.apply(BACKUP.replace("state", "primary: eth2, state"))
    stage.apply(BACKUP.replace("state", "primary: eth1, state").replace("eth1, eth2]", "eth1]"))
    assert stage.data("bond0")["primary"] == "eth1"
    assert stage.ports("bond0") == {"eth1"}


def test_an_address_of_its_own_and_an_mtu(stage: Stage) -> None:
    text = STACKED.replace("state: up}", 'state: up, address: "02:00:00:00:00:b0", mtu: 1400}', 1)
    stage.apply(text)
    for name in ("bond0", "eth1", "eth2"):
        assert stage.ip(name)["address"] == "02:00:00:00:00:b0"
        assert stage.ip(name)["mtu"] == 1400
    stage.apply(text.replace("00:b0", "00:b1").replace("1400", "1300"))
    for name in ("bond0", "eth1", "eth2"):
        assert stage.ip(name)["address"] == "02:00:00:00:00:b1"
        assert stage.ip(name)["mtu"] == 1300
    stage.destroy()


def test_down_and_up(stage: Stage) -> None:
    stage.apply(STACKED)
    stage.apply(STACKED.replace("state: up", "state: down"))
    for name in ("bond0", "vlan7", "web0"):
        assert "UP" not in stage.ip(name)["flags"]
    stage.apply(STACKED)
    for name in ("bond0", "vlan7", "web0"):
        assert "UP" in stage.ip(name)["flags"]


def test_a_bond_of_others_hands_is_adopted_as_it_stands(stage: Stage) -> None:
    stage.netns.ip("link", "add", "bond0", "type", "bond", "mode", "802.3ad", "lacp_rate", "fast")
    stage.netns.ip("link", "set", "eth1", "master", "bond0")
    stage.netns.ip("link", "set", "bond0", "up")
    index = stage.index("bond0")
    run.apply(parsed(BACKUP), take_over=True)
    assert stage.steps(BACKUP) == []
    assert stage.index("bond0") == index
    assert stage.data("bond0")["mode"] == "active-backup"
    assert stage.ports("bond0") == {"eth1", "eth2"}


def test_rolled_back_from_wherever_it_stops(stage: Stage) -> None:
    """The mode changes with its ports out and in again, a VLAN is replaced, a device is new."""
    stage.apply(STACKED)
    names = ("bond0", "vlan7", "web0", "eth1", "eth2")
    before = {name: stage.own(name) for name in names}
    kept = {name: stage.index(name) for name in names if name != "vlan7"}
    changed = STACKED.replace("active-backup", "802.3ad").replace("id: 7", "id: 8")
    changed += "last0: {kind: macvlan, parent: vlan7, mode: bridge, state: up}\n"
    for stops in count(1):
        calls = count(1)

        def progress(done: int, of: int, batch: Sequence[Operation]) -> None:
            if next(calls) == stops:  # noqa: B023 (called within this round)
                raise KernelError("stop here", errno.EINVAL, batch[0].summary())

        try:
            run.apply(parsed(changed), progress=progress)
        except ApplyError as error:
            said = str(error)
        else:
            break
        assert ("nothing was changed" if stops == 1 else "everything done before was") in said
        assert {name: stage.own(name) for name in names} == before, stops
        assert {name: stage.index(name) for name in kept} == kept, stops
        assert stage.ports("bond0") == {"eth1", "eth2"}
        assert stage.steps(STACKED) == []
    assert stops > 8
    assert stage.steps(changed) == []
