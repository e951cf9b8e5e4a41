"""Every example is planned on veths that stand for its NICs, and applied where the kernel can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import pins
from xdpctl.apply import run
from xdpctl.policy.advice import warnings
from xdpctl.topology.load import load

pytestmark = pytest.mark.kernel

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_to_be_said_of_an_example(path: Path) -> None:
    assert warnings(load([str(path)])) == []


def has(netns: Netns, kind: str) -> bool:
    """Whether the running kernel makes devices of this kind."""
    netns.ip("link", "add", "probe0", "type", kind, check=False)
    made = any(link["ifname"] == "probe0" for link in netns.json("link"))
    if made:
        netns.ip("link", "delete", "probe0")
    return made


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_does_what_it_says(path: Path, netns: Netns) -> None:
    topology = load([str(path)])
    nics = [device.name for device in topology.devices.values() if device.kind == "physical"]
    for number, nic in enumerate(nics):
        netns.ip("link", "add", nic, "type", "veth", "peer", "name", f"far{number}")
    before = netns.json("link")
    with netns.entered():
        plan, _ = run.plan(topology)
        made = {action.device for action in plan.actions if action.op == "create"}
        assert made == topology.devices.keys() - set(nics)
        policed = {d.name for d in topology.devices.values() if d.xdp and d.xdp.policy}
        assert policed <= {action.device for action in plan.actions if action.op == "attach"}
        kinds = {device.kind for device in topology.devices.values()}
        if "bond" in kinds and not has(netns, "bond"):
            return  # applied on an emulated kernel: tests/vm/guest/test_examples.py
        run.apply(topology)
        assert not run.plan(topology)[0].changed
        run.destroy(topology.name)
    assert [link["ifname"] for link in netns.json("link")] == [link["ifname"] for link in before]
    assert pins(netns) == []
