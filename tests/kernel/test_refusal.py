"""A program that the verifier refuses is told as the rule and the line that it came from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import Rig, pins
from xdpctl.bpf.asm import DW, R1, R3, Assembler
from xdpctl.errors import ApplyError
from xdpctl.policy import compiler, conditions
from xdpctl.policy.bindings import Bindings

pytestmark = pytest.mark.kernel

TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  web0: {kind: macvlan, parent: eth0, mode: bridge, state: up, xdp: {policy: web}}
policies:
  web:
    default: drop
    rules:
      - {name: dns, match: {udp.dport: 53}, action: pass}
      - {name: https, match: {tcp.dport: 443}, action: pass}
      - {match: {tcp.dport: 80}, action: {policy: more}}
  more:
    rules:
      - {name: deep, match: {ip4.ttl: 1}, action: drop}
"""


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("tcp.dport", "topo.yaml:11:9: rule https of policy web: refused by the kernel's verifier"),
        ("ip4.ttl", "topo.yaml:15:9: rule deep of policy more: refused by the kernel's verifier"),
    ],
)
def test_the_rule_is_named(rig: Rig, key: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = vars(compiler)["emit_test"]

    def emit(asm: Assembler, test: conditions.Test, miss: str, bindings: Bindings) -> None:
        if test.condition.key == key:
            asm.load(DW, R1, R3, 0)  # no pointer
        whole(asm, test, miss, bindings)

    monkeypatch.setattr(compiler, "emit_test", emit)
    with pytest.raises(ApplyError) as error:
        rig.apply(TEXT)
    message = str(error.value)
    assert message.startswith(said)
    assert "R3" in message
    assert message.count("\n") < 12
    assert pins(rig.nic) == []
    assert "web0" not in rig.nic.ip("link")
