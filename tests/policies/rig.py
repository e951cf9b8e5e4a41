"""Compiled policies in the kernel, run on single frames by BPF_PROG_TEST_RUN.

A program of the rig returns its whole decision at once: the counters that went up as bits 0 to 22,
the counter that decided in bits 23 to 27, bit 31 for drop. So one run is one system call.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from functools import cache

from xdpctl.bpf import program
from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R6, R7, R10, Assembler, W
from xdpctl.errors import KernelError
from xdpctl.policy.compiler import emit_policy, requirements
from xdpctl.policy.evaluate import Decision, evaluate
from xdpctl.policy.parse import Hook, emit_parse, emit_parse_carefully
from xdpctl.topology.model import Policy

MAX_RULES = 21
_MASK = -136  # the caller's stack, below the record
_DROPPED = 1 << 31
_HELPER_SKB_VLAN_PUSH, _HELPER_SKB_CHANGE_TAIL = 18, 38
_SKB_MARK, _SKB_PRIORITY, _SKB_CB = 8, 32, 48
_PADDING, _LONGEST = 64, 3300  # bytes; a test run's skb is one page
_TAGS = (0x8100, 0x88A8)
_SHORT = struct.pack("=6I", 0, 14, 0, 0, 0, 0)  # struct xdp_md: data_end


class Way(Enum):
    """How a frame meets a policy."""

    XDP = "xdp"
    XDP_CAREFUL = "xdp, by copies alone"
    XDP_FRAGS = "xdp, 14 bytes in the linear part"
    TC = "tc"
    TC_CAREFUL = "tc, by copies alone"
    TC_TAG = "tc, the outermost VLAN tag beside the frame"
    TC_TAG_CAREFUL = "tc, the same by copies alone"

    @property
    def is_tag_beside(self) -> bool:
        return "TAG" in self.name

    @property
    def hook(self) -> Hook:
        return Hook.TC if self.name.startswith("TC") else Hook.XDP


class Rig:
    """One policy loaded for every way."""

    def __init__(self, policy: Policy, programs: dict[Way, program.Program]) -> None:
        self.policy = policy
        self._programs = programs

    def check(self, frame: bytes) -> int:
        """Compare all ways with the evaluator; the number of comparisons."""
        wanted = evaluate(self.policy, frame)
        got = {way: self.decide(way, frame) for way in self._programs}
        seen = {way: decision for way, decision in got.items() if decision is not None}
        wrong = {way: decision for way, decision in seen.items() if decision != wanted}
        assert not wrong, f"{wanted} is meant for {frame.hex()} by {self.policy}, not {wrong}"
        return len(seen)

    def decide(self, way: Way, frame: bytes) -> Decision | None:
        """The kernel's decision; None where the kernel cannot be shown this frame this way."""
        tag = control = 0
        if way.is_tag_beside:
            if int.from_bytes(frame[12:14], "big") not in _TAGS:
                return None
            tag = int.from_bytes(frame[12:14], sys.byteorder)  # the helper wants network order
            control = int.from_bytes(frame[14:16], "big")
            frame = frame[:12] + frame[16:]
        if len(frame) < 14 or (way.hook is Hook.TC and len(frame) > _LONGEST):
            return None
        context = _SHORT if way is Way.XDP_FRAGS else None
        if way.hook is Hook.TC:
            context = struct.pack("=13I", 0, 0, tag, 0, 0, 0, 0, 0, len(frame), 0, 0, 0, control)
            frame += bytes(_PADDING)
        answer = self._programs[way].run(frame, context=context).code
        return Decision(
            "drop" if answer & _DROPPED else "pass",
            answer >> 23 & 31,
            tuple(counter for counter in range(23) if answer & 1 << counter),
        )


@contextmanager
def loaded(policy: Policy) -> Iterator[Rig]:
    """The policy in the kernel for all its ways, until the end of the block."""
    with ExitStack() as stack:
        programs = {}
        for way in ways():
            hook = program.Flavour.TC if way.hook is Hook.TC else program.Flavour.XDP
            programs[way] = program.load(instructions(policy, way), hook, "rig")
            stack.callback(programs[way].close)
        yield Rig(policy, programs)


def instructions(policy: Policy, way: Way) -> bytes:
    """The rig's program around the policy's."""
    assert len(policy.rules) <= MAX_RULES
    asm = Assembler()
    asm.mov(R6, R1)
    if way.hook is Hook.TC:
        # The test run refuses IP packets without an IP header, so they come longer.
        asm.load(W, R2, R6, _SKB_PRIORITY)
        asm.mov(R3, 0)
        asm.call(_HELPER_SKB_CHANGE_TAIL)
    if way.is_tag_beside:
        asm.mov(R1, R6)
        asm.load(W, R2, R6, _SKB_MARK)
        asm.load(W, R3, R6, _SKB_CB)
        asm.call(_HELPER_SKB_VLAN_PUSH)
    if way.hook is Hook.XDP:
        asm.load(W, R7, R6, 4)  # the linear part; no more is promised
        asm.load(W, R1, R6, 0)
        asm.sub(R7, R1)
    else:
        asm.load(W, R7, R6, 0)
    asm.store(DW, R10, _MASK, 0)
    needs = requirements([policy])
    parse = emit_parse_carefully if "CAREFUL" in way.name else emit_parse
    parse(asm, way.hook, needs.depth, needs.fields)
    emit_policy(asm, policy, prefix="p", count=_count, passed="passed", dropped="dropped")
    for label, bit in (("passed", 0), ("dropped", _DROPPED)):
        if asm.is_used(label):
            asm.label(label)
            asm.store(DW, R10, _MASK - 8, R1)
            _count(asm)
            asm.load(DW, R0, R10, _MASK)
            asm.load(DW, R1, R10, _MASK - 8)
            asm.lsh(R1, 23)
            asm.or_(R0, R1)
            asm.or32(R0, bit)
            asm.exit()
    return asm.assemble()


def _count(asm: Assembler) -> None:
    """Set the bit R1 of the mask."""
    asm.mov(R2, 1)
    asm.lsh(R2, R1)
    asm.load(DW, R1, R10, _MASK)
    asm.or_(R1, R2)
    asm.store(DW, R10, _MASK, R1)
    for clobbered in (R0, R1, R2, R3):
        asm.mov(clobbered, 0)


@cache
def ways() -> tuple[Way, ...]:
    """All ways that this kernel's test run has: since 6.18 the linear part may be short."""
    asm = Assembler()
    asm.mov(R0, 2)
    asm.exit()
    with program.load(asm.assemble(), program.Flavour.XDP, "probe") as probe:
        try:
            probe.run(bytes(64), context=_SHORT)
        except KernelError:
            return tuple(way for way in Way if way is not Way.XDP_FRAGS)
    return tuple(Way)
