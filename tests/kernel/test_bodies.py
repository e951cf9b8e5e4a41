"""A program runs the policy that a slot names, and none where it has no such policy."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from xdpctl.bpf import program
from xdpctl.bpf.asm import R0, R1, R6, R8, R9, Assembler, W
from xdpctl.datapath.bodies import bodies, create_rows, emit_dispatch
from xdpctl.datapath.counter_map import CounterMap
from xdpctl.datapath.emit import Reach, Stage
from xdpctl.datapath.policy_layout import layout
from xdpctl.policy.bindings import Bindings
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

TEXT = """\
version: 1
name: t
devices: {}
policies:
  drops: {default: drop, rules: []}
  passes: {default: pass, rules: []}
  too: {default: drop, rules: []}
"""
ENDS = ("passed", "dropped", "missing")
RECEIVE_QUEUE = 16
"""Offset in struct xdp_md: 0 in a test run, which the verifier does not know."""


def reached(names: dict[str, int], index: int) -> str:
    """Where a frame for the policy of this index ends, in a program of these."""
    policies = load_texts({"t.yaml": TEXT}).policies
    stages = [Stage(policies[name], layout(policies[name], at)) for name, at in names.items()]
    found = bodies(stages, Bindings())
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R9, R6, RECEIVE_QUEUE)
    asm.add(R9, index)
    asm.mov(R8, 0)
    rows, made = create_rows(found)
    with made or nullcontext():
        emit_dispatch(asm, found, rows, Reach(CounterMap(0, 1024), Bindings()), "missing")
        for code, label in enumerate(ENDS):
            if asm.is_used(label):
                asm.label(label)
                asm.mov(R0, code)
                asm.exit()
        with program.load(asm.assemble(), program.Flavour.XDP, "bodies") as loaded:
            return ENDS[loaded.run(bytes(64)).code]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ({"drops": 1}, "dropped missing missing missing"),
        ({"passes": 2}, "missing passed missing missing"),
        ({"drops": 1, "passes": 3}, "dropped missing passed missing"),
        ({"drops": 2, "too": 4}, "missing dropped missing dropped"),
    ],
    ids=["one", "one behind a gap", "two with a gap between", "two of one shape"],
)
def test_the_policy_of_the_index_or_none(names: dict[str, int], wanted: str) -> None:
    assert [reached(names, index) for index in range(1, 5)] == wanted.split()
