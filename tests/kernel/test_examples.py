"""Every example is planned on veths that stand for its NICs, and applied where the kernel can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.examples import CHANGES, EXAMPLES, comes_changes_and_goes, physical
from xdpctl.apply import run
from xdpctl.policy.advice import warnings
from xdpctl.topology.load import load

pytestmark = pytest.mark.kernel


def test_each_has_a_change() -> None:
    assert CHANGES.keys() == {path.stem for path in EXAMPLES}
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_to_be_said_of_an_example(path: Path) -> None:
    assert warnings(load([str(path)])) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_does_what_it_says(path: Path, netns: Netns) -> None:
    topology = load([str(path)])
    nics = physical(topology)
    for number, nic in enumerate(nics):
        netns.ip("link", "add", nic, "type", "veth", "peer", "name", f"far{number}")
    with netns.entered():
        plan, _ = run.plan(topology)
    made = {action.device for action in plan.actions if action.op == "create"}
    assert made == topology.devices.keys() - set(nics)
    policed = {one.name for one in topology.devices.values() if one.xdp and one.xdp.policy}
    assert policed <= {action.device for action in plan.actions if action.op == "attach"}
    kinds = {one.kind for one in topology.devices.values()} - {"physical"}
    if missing := sorted(kind for kind in kinds if not netns.makes(kind)):
        what = ", ".join(missing)
        pytest.skip(f"PLANNED, NOT APPLIED: this kernel has no {what}; tests/vm applies it")
    comes_changes_and_goes(path, netns)
