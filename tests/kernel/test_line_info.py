"""Debuggers see the user's own file: each instruction knows the YAML line it was made from."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.kernel.rig import Rig
from xdpctl.apply import run
from xdpctl.bpf import maps
from xdpctl.datapath import bodies
from xdpctl.datapath.layout import INDEX

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
      - {name: https, match: {tcp.dport: [443, 8443]}, action: pass}
"""


def dumped(program_id: int) -> list[dict[str, Any]]:
    """The instructions as bpftool shows them, with their source lines."""
    done = subprocess.run(
        ["bpftool", "--json", "prog", "dump", "xlated", "id", str(program_id), "linum"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def lines(rig: Rig) -> dict[int, str]:
    """Source lines of the root's program and all that it goes on in, by number in the file."""
    with rig.nic.entered():
        pipeline = run.observe("edge").live.pipelines["eth0"]
    numbers = {pipeline.program_id}
    for array in pipeline.parts:
        with maps.open_id(array) as opened:
            members = (opened.lookup(INDEX.pack(at)) for at in range(opened.info.max_entries))
            numbers |= {INDEX.unpack(member)[0] for member in members if member}
    assert (len(numbers) > 1) is bool(pipeline.parts)
    return {
        each["line_num"]: each["src"]
        for number in numbers
        for each in dumped(number)
        if each.get("file") == "topo.yaml"
    }


@pytest.mark.parametrize("room", [bodies.ROOM, 8], ids=["one program", "parts"])
def test_instructions_name_the_rule_they_come_from(
    rig: Rig, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "ROOM", room)
    rig.apply(
        TEXT.replace(
            "policies:",
            "  db0: {kind: macvlan, parent: eth0, mode: bridge, xdp: {policy: other}}\npolicies:\n"
            "  other: {default: pass}",
        )
    )
    found = lines(rig)
    assert found[12] == "- {name: dns, match: {udp.dport: 53}, action: pass}"
    assert found[13] == "- {name: https, match: {tcp.dport: [443, 8443]}, action: pass}"
    assert found[9] == "web:"
