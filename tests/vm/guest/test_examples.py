"""The examples as they are, on NICs that are made for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.examples import EXAMPLES, comes_changes_and_goes, physical
from xdpctl.topology.load import load

SLOW = {"tenants"}
"""A thousand devices: the kernel tests have them, without an emulator."""


@pytest.mark.parametrize("nic", ["veth", "dummy"])
@pytest.mark.parametrize("path", [one for one in EXAMPLES if one.stem not in SLOW], ids=str)
def test_an_example_comes_changes_and_goes(netns: Netns, path: Path, nic: str) -> None:
    for number, name in enumerate(physical(load([str(path)]))):
        kind = ("veth", "peer", "name", f"far{number}") if nic == "veth" else (nic,)
        netns.ip("link", "add", name, "type", *kind)
    comes_changes_and_goes(path, netns)
