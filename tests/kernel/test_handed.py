"""A device that goes from one NIC's pipeline to another's while the first changes its mode."""

from __future__ import annotations

import pytest

from tests.kernel.conftest import eventually
from tests.kernel.rig import BROADCAST, Rig, raw_socket, rules

pytestmark = pytest.mark.kernel

VM, BESIDE = "02:00:00:00:00:20", "02:00:00:00:00:21"
TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, xdp: {{policy: all}}}}
  eth1: {{kind: physical, xdp: {{policy: all, mode: MODE}}}}
  vm0: {{kind: tap, parent: PARENT, deliver: redirect, address: "{VM}", state: up,
        xdp: {{policy: vm}}}}
  vm1: {{kind: tap, parent: eth1, deliver: redirect, address: "{BESIDE}", state: up,
        xdp: {{policy: vm}}}}
policies:
  all: {{default: pass}}
  vm: {{default: pass, rules: [{{name: not, match: {{udp.dport: 9000}}, action: drop}}]}}
"""


@pytest.fixture
def two(rig: Rig) -> Rig:
    """Another NIC beside eth0."""
    rig.add_nic()
    with rig.nic.entered():
        rig.senders["eth1"] = raw_socket("far1")
    rig.senders["eth0"] = rig.senders["wire"]
    return rig


def dropped(rig: Rig) -> dict[str, int]:
    """What the rule of each tap's policy has met."""
    shown = rig.show()
    return {name: rules(shown[name])["not"] for name in ("vm0", "vm1")}


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("order", [("eth1", "eth0"), ("eth0", "eth1")])
@pytest.mark.parametrize("modes", [("native", "generic"), ("generic", "native")])
def test_its_policy_comes_along(
    two: Rig, order: tuple[str, str], modes: tuple[str, str], alone: bool
) -> None:
    """`alone`: nothing else is left of the switch at eth1."""
    text = TEXT
    if alone:
        text = text.replace("parent: eth1, deliver: redirect, ", "")
    for parent, mode in zip(order, modes, strict=True):
        wanted = text.replace("PARENT", parent).replace("MODE", mode)
        two.apply(wanted)
        assert not two.plan(wanted).changed
    before = dropped(two)
    two.send(BROADCAST, 9000, by=order[1])
    expected = {"vm0": 5, "vm1": 5 if order[1] == "eth1" and not alone else 0}
    assert eventually(
        lambda: {name: now - before[name] for name, now in dropped(two).items()} == expected
    ), (before, dropped(two))
