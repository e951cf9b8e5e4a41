"""A policy as a program of its own: what xdpctl's is without the way to the device."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xdpctl.bpf.asm import R0, R1, R6, R7, R8, Assembler, W
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import emit_policy, requirements
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.topology.model import Policy

XDP_DROP, XDP_PASS = 1, 2


@dataclass(frozen=True)
class Alone:
    """The instructions, and which of them says where the counters begin."""

    code: bytes
    place: int

    def counting_from(self, block: int) -> bytes:
        """The same with its counters elsewhere in the map."""
        at = 8 * self.place + 4
        return self.code[:at] + struct.pack("=i", block) + self.code[at + 4 :]


def compile_alone(policy: Policy, counters: CounterMap, bindings: Bindings | None = None) -> Alone:
    """The same parse, rules and counters, for any frame."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R7, R6, 4)
    asm.load(W, R1, R6, 0)
    asm.sub(R7, R1)
    needs = requirements([policy])
    emit_parse(asm, Hook.XDP, needs.depth, needs.fields)
    place = len(asm)
    asm.mov(R8, 0)
    emit_policy(
        asm, policy, prefix="p", bindings=bindings or Bindings(),
        count=lambda inner, number: emit_count(inner, counters, number),
    )  # fmt: skip
    for label, code in (("passed", XDP_PASS), ("dropped", XDP_DROP)):
        if asm.is_used(label):
            asm.label(label)
            emit_count(asm, counters)
            asm.mov(R0, code)
            asm.exit()
    return Alone(asm.assemble(), place)
