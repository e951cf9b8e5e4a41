"""Maps that are about to overflow: the pipeline is rebuilt with larger ones, or has the room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import Rig

pytestmark = pytest.mark.kernel

RULES = ", ".join(f"{{match: {{udp.dport: {port}}}, action: pass}}" for port in range(100))
BIG = f"  big: {{default: drop, rules: [{RULES}]}}\n"
FEW = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  "big[1-10]": {kind: macvlan, parent: eth0, mode: source, xdp: {policy: big}}
"""
MANY = '  "small[1-60]": {kind: macvlan, parent: eth0, mode: source, xdp: {policy: small}}\n'


def test_devices_of_a_small_policy_beside_those_of_a_large_one(
    netnses: Callable[[], Netns],
) -> None:
    """A large policy's counters have room for many devices; so must all other maps have."""
    rig = Rig(netnses(), netnses())
    rig.connect()
    try:
        rig.apply(f"{FEW}policies:\n{BIG}")
        rig.apply(f"{FEW}{MANY}policies:\n{BIG}  small: {{default: drop}}\n")
        assert rig.show()["small60"]["xdp"]["policy"] == "small"
    finally:
        rig.close()
