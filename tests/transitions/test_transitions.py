"""From one random topology to another, and on: what holds of each apply holds of all of them.

XDPCTL_LONG=1 goes a longer way; XDPCTL_SEED another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import LONG, Made, State, Writes
from tests.fault.test_pipeline_kill import killed
from tests.kernel.conftest import Netns
from tests.kernel.rig import Rig, pins
from tests.transitions.frames import each_policy_is_met_once
from tests.transitions.topologies import NICS, drawn
from xdpctl.apply import run
from xdpctl.errors import ApplyError, ConflictError, UnsupportedError
from xdpctl.topology.model import Topology

pytestmark = pytest.mark.kernel

STEPS = 400 if LONG else 25
SEED = int(os.environ.get("XDPCTL_SEED", "0"))
KINDS = ("macvlan", "macvtap", "tap", "veth", "bridge", "bond", "team", "vlan")
UNLIKE = {
    "tso_max_size": "a re-created macvlan takes it from its parent as that is now",
    "gso_max_size": "the same",
    "id": "a port that returns to its bridge gets the next free number",
    "root_port": "that number",
    "designated_port": "that number",
    "ad_info": "whom 802.3ad chooses depends on who came first",
    "ad_aggregator_id": "the same",
    "ad_actor_oper_port_state": "the same",
    "ad_actor_oper_port_state_str": "the same",
    "ad_partner_oper_port_state": "the same",
    "ad_partner_oper_port_state_str": "the same",
    "perm_hwaddr": "a port that is made anew has the bond's address from the beginning",
    "active_slave": "that of a bond is the first that came back",
}
"""What a rollback cannot bring back, and why."""


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    """A host with two NICs, whose wires lead nowhere."""
    made = Rig(netnses(), netnses())
    made.quieten()
    for name in NICS:
        made.nic.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
        for end in (name, f"{name}-far"):
            made.nic.ip("link", "set", end, "up")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def kinds(rig: Rig) -> list[str]:
    return [kind for kind in KINDS if rig.nic.makes(kind)]


def steps(kinds: list[str], seed: int) -> Iterator[tuple[str, Topology, Random]]:
    random, before = Random(f"{SEED} {seed}"), ""
    for number in range(STEPS):
        text, topology = drawn(random, kinds)
        devices = text.partition("policies:")[0]
        yield f"step {number} of seed {SEED} {seed}:\n{before}---\n{devices}", topology, random
        before = devices


def applied(rig: Rig, topology: Topology) -> bool:
    """Apply, and plan again: empty. False where the plan refuses the topology on this host."""
    with rig.nic.entered():
        try:
            run.apply(topology)
        except (ConflictError, UnsupportedError):
            return False
        assert [one.summary() for one in run.plan(topology)[0].operations] == []
    return True


@pytest.mark.parametrize("seed", range(3))
def test_each_is_applied_and_the_plan_is_empty(rig: Rig, kinds: list[str], seed: int) -> None:
    taken = met = 0
    for said, topology, random in steps(kinds, seed):
        try:
            if applied(rig, topology):
                taken += 1
                met += each_policy_is_met_once(rig, topology)
            if random.random() < 0.2:
                rig.destroy()
                nothing_is_left(rig)
        except Exception as error:
            raise AssertionError(said) from error
    assert taken > STEPS / 2
    assert met > STEPS / 5


def nothing_is_left(rig: Rig, *, killed: bool = False) -> None:
    """A clsact without filters is nobody's, for all that anybody can tell: a run that is killed
    between the two leaves one behind.
    """
    assert pins(rig.nic) == []
    links = rig.nic.json("link")
    assert {link["ifname"] for link in links} == {"lo", *NICS, *(f"{name}-far" for name in NICS)}
    assert not [link for link in links if "xdp" in link or "ifalias" in link]
    for name in NICS:
        for hook in ("ingress", "egress"):
            shown = rig.nic.run("tc", "filter", "show", "dev", name, hook, check=False)
            assert shown.stdout == ""
        if not killed:
            assert "clsact" not in rig.nic.run("tc", "qdisc", "show", "dev", name).stdout


@pytest.mark.parametrize("seed", range(3, 5))
def test_a_refused_write_changes_nothing(rig: Rig, kinds: list[str], seed: int) -> None:
    refused = 0
    for said, topology, random in steps(kinds, seed):
        try:
            refused += undone(rig, topology, random.randint(1, 60))
            applied(rig, topology)
        except Exception as error:
            raise AssertionError(said) from error
    assert refused > STEPS / 4


def undone(rig: Rig, topology: Topology, at: int) -> bool:
    """Refuse the write number `at`, if there is one, and see that all is as it was."""
    before = State.of(rig)
    writes = Writes(lambda number: pipeline.ERRORS[0] if number == at else 0)
    with pipeline.patched() as patch, rig.nic.entered():
        writes.arm(patch)
        try:
            run.apply(topology)
        except (ConflictError, UnsupportedError):
            return False
        except ApplyError as error:
            failure = str(error)
        else:
            return False
    assert failure.endswith(("everything done before was undone", "nothing was changed"))
    assert list(unlike(before, State.of(rig), ())) == [], failure
    return True


def unlike(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Where two states differ in what a rollback brings back."""
    if one == other or (path and path[-1] in UNLIKE):
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one | other:
            yield from unlike(one.get(name), other.get(name), (*path, str(name)))
    elif is_dataclass(one) and type(one) is type(other):
        for each in fields(one):
            pair = getattr(one, each.name), getattr(other, each.name)
            yield from unlike(*pair, (*path, each.name))
    else:
        yield f"{'/'.join(path)}: {one} became {other}"


@pytest.mark.parametrize("seed", range(5, 7))
def test_the_run_after_a_kill_converges(
    rig: Rig, kinds: list[str], seed: int, tmp_path: Path
) -> None:
    made, died = Made(tmp_path / "made"), 0
    for said, topology, random in steps(kinds, seed):
        try:
            action = partial(attempt, topology)
            with rig.nic.entered():
                died += killed(action, random.randint(1, 60), made)
            if random.random() < 0.3:
                rig.destroy()
                nothing_is_left(rig, killed=True)
            applied(rig, topology)
        except Exception as error:
            raise AssertionError(said) from error
    assert died > STEPS / 4


def attempt(topology: Topology) -> None:
    """In the child that is killed: a refusal at plan time is none of its business."""
    try:
        run.apply(topology)
    except (ConflictError, UnsupportedError):
        return
