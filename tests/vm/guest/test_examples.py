"""The examples as they are, on NICs that are made for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from xdpctl.apply import run
from xdpctl.host import snapshot
from xdpctl.topology.load import load

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
SLOW = {"tenants.yaml"}
"""A thousand devices: the kernel tests have them, without an emulator."""


@pytest.mark.parametrize("nic", ["veth", "dummy"])
@pytest.mark.parametrize("path", [one for one in EXAMPLES if one.name not in SLOW], ids=str)
def test_an_example_comes_and_goes(netns: Netns, path: Path, nic: str) -> None:
    topology = load([str(path)])
    physical = [one.name for one in topology.devices.values() if one.kind == "physical"]
    for number, name in enumerate(physical):
        kind = ("veth", "peer", "name", f"far{number}") if nic == "veth" else (nic,)
        netns.ip("link", "add", name, "type", *kind)
    with netns.entered():
        before = {link.name for link in snapshot.read().links}
        assert run.apply(topology).applied
        assert run.plan(topology)[0].operations == ()
        assert {one.name for one in topology.devices.values()} <= {
            link.name for link in snapshot.read().links
        }
        run.destroy(topology.name)
        assert {link.name for link in snapshot.read().links} == before
