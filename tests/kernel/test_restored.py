"""What a rollback re-creates: not all that the kernel shows can be asked for."""

from __future__ import annotations

import pytest

from tests.kernel.rig import Rig
from xdpctl.apply import carry_out
from xdpctl.errors import ApplyError, VerifyError

pytestmark = pytest.mark.kernel

BRIDGED = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  br0: {kind: bridge, ports: [eth0], state: up}
"""


def test_a_bridge_whose_last_port_has_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is of zeros then, which no device can be given."""
    rig.apply(BRIDGED)
    rig.nic.ip("link", "set", "eth0", "nomaster")
    (before,) = rig.nic.json("link", "show", "br0")
    assert before["address"] == "00:00:00:00:00:00"

    def refuse(_: object) -> None:
        raise VerifyError("not what was asked for")

    monkeypatch.setattr(carry_out, "verify", refuse)
    with pytest.raises(ApplyError, match="everything done before was undone"):
        rig.apply(BRIDGED.partition("  br0")[0])
    (after,) = rig.nic.json("link", "show", "br0")
    assert after["ifindex"] == before["ifindex"]
    assert after["ifalias"] == "xdpctl:edge"
