"""Each option of a live bond alone, from one value to another, with what stands on it."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.vm.guest.stage import Stage, parsed
from tests.vm.guest.test_bond_options import CHANGES
from xdpctl.apply import run
from xdpctl.host import clsact
from xdpctl.host.rtnl import Rtnl
from xdpctl.plan.operation import Difference
from xdpctl.topology.kinds.bond import MODES, PRIMARY, PROPERTIES
from xdpctl.topology.property import Change

PORTS = "{eth2: {queue_id: 2, prio: 7}, eth1: {queue_id: 1}, eth3: {}}"
"""Not in the order of their names. `prio` goes with the modes of PRIMARY."""
WEB = (
    'web0: {kind: macvlan, parent: bond0, mode: bridge, address: "02:00:00:00:00:10", state: up, '
    "xdp: {policy: web}}\n"
)
POLICIES = "policies: {web: {default: drop, rules: [{match: {udp.dport: 9000}, action: pass}]}}\n"
ROWS = {row.name: row for row in PROPERTIES}
BESIDE: dict[str, dict[str, Any]] = {
    "updelay": {"miimon": 100},
    "downdelay": {"miimon": 100},
    "peer_notify_delay": {"miimon": 100},
    "arp_interval": {"arp_ip_target": ["192.0.2.1"]},
    "arp_validate": {"arp_interval": 100, "arp_ip_target": ["192.0.2.1"]},
    "arp_all_targets": {"arp_interval": 100, "arp_ip_target": ["192.0.2.1"]},
    "arp_ip_target": {"arp_interval": 100},
    "ns_ip6_target": {"arp_interval": 100},
    "arp_missed_max": {"arp_interval": 100, "arp_ip_target": ["192.0.2.1"]},
}
"""What an option needs besides."""
EACH = [name for name in CHANGES if name != "use_carrier"]  # which has one value (6.18)


def mode_for(name: str) -> str:
    """One in which the option means something."""
    modes = [takes for key, takes in ROWS[name].only_with if key == "mode"]
    if not modes:
        return "active-backup"
    return "active-backup" if "active-backup" in modes[0] else str(modes[0][0])


def bond(mode: str, given: dict[str, Any]) -> str:
    settings = "".join(f", {name}: {json.dumps(value)}" for name, value in given.items())
    ports = PORTS if mode in PRIMARY else PORTS.replace(", prio: 7", "")
    return f"bond0: {{kind: bond, mode: {mode}, ports: {ports}, state: up{settings}}}\n{WEB}"


@dataclass(frozen=True)
class Standing:
    """What must be the same before and after a change."""

    ports: list[str]
    queues: dict[str, tuple[int, int]]
    indexes: tuple[int, int]
    gate: int | None
    up: bool

    @classmethod
    def of(cls, stage: Stage) -> Standing:
        lines = Path("/proc/thread-self/net/bonding/bond0").read_text().splitlines()
        own = {nic: stage.ip(nic)["linkinfo"]["info_slave_data"] for nic in ("eth1", "eth2")}
        with Rtnl() as rtnl:
            gate = clsact.program_id(rtnl, socket.if_nametoindex("web0"))
        return cls(
            [line.split(": ")[1] for line in lines if line.startswith("Slave Interface")],
            {nic: (data["queue_id"], data.get("prio", 0)) for nic, data in own.items()},
            (stage.index("bond0"), stage.index("web0")),
            gate,
            all("UP" in stage.ip(name)["flags"] for name in ("bond0", "web0", "eth1", "eth3")),
        )


@pytest.mark.parametrize("name", EACH)
def test_one_option_changes_and_all_else_stays(stage: Stage, name: str) -> None:
    mode, values = mode_for(name), CHANGES[name]
    beside = BESIDE.get(name, {})
    texts = [bond(mode, {**beside, name: value}) for value in values]
    stage.apply(texts[0], POLICIES)
    before = Standing.of(stage)
    assert before.up
    assert before.gate
    assert before.ports == ["eth2", "eth1", "eth3"]
    for number in (1, 0):
        made, _ = run.plan(parsed(texts[number], POLICIES))
        steps = [operation.summary() for operation in made.operations]
        (action,) = made.actions
        old, new = (canonical(values[at]) for at in (1 - number, number))
        assert (action.op, action.device) == ("update", "bond0")
        assert action.changes[name] == Difference(old, new)
        dragged = {*ROWS[name].drags}
        assert action.changes.keys() - dragged == {name}
        frees = ROWS[name].change in (Change.NO_PORTS, Change.DOWN_NO_PORTS)
        downs = ROWS[name].change in (Change.DOWN, Change.DOWN_NO_PORTS)
        assert any(step.startswith("remove") for step in steps) == frees, steps
        assert ("set state down of bond0" in steps) == downs, steps
        assert stage.apply(texts[number], POLICIES).applied
        assert stage.own("bond0")[name] == new
        assert Standing.of(stage) == before
    stage.destroy()


def canonical(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def test_every_mode_is_entered_and_left(stage: Stage) -> None:
    """The gate is a new one where native XDP begins or ends with the mode."""
    modes = list(MODES)
    stage.apply(bond(modes[0], {}), POLICIES)
    before = Standing.of(stage)
    for after in (*modes[1:], *modes[-2::-1]):
        stage.apply(bond(after, {}), POLICIES)
        now = Standing.of(stage)
        assert stage.data("bond0")["mode"] == after
        assert (now.ports, now.indexes, now.up) == (before.ports, before.indexes, True)
        assert now.queues == {"eth2": (2, 7 if after in PRIMARY else 0), "eth1": (1, 0)}
        assert now.gate
    stage.destroy()


def test_what_a_port_has_goes_with_a_mode_that_does_not_take_it(stage: Stage) -> None:
    """Though somebody else has set it, and the file does not say."""
    stage.apply(bond("active-backup", {}).replace(", prio: 7", ""), POLICIES)
    stage.netns.ip("link", "set", "eth2", "type", "bond_slave", "prio", "9")
    stage.apply(bond("balance-tlb", {}).replace(", prio: 7", ""), POLICIES)
    assert Standing.of(stage).queues["eth2"] == (2, 9)
    stage.apply(bond("balance-xor", {}), POLICIES)
    assert Standing.of(stage).queues["eth2"] == (2, 0)
    stage.destroy()
