"""Compiled policies in the kernel, run on single frames by BPF_PROG_TEST_RUN.

A program of the rig leaves its whole decision in a map that is mapped into this process: the
counters that went up as bits, the one that decided, the end, the target. So one run is one system
call.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache

from xdpctl.bpf import maps, program
from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R6, R7, R8, R9, R10, Assembler, W
from xdpctl.datapath import set_maps
from xdpctl.errors import KernelError
from xdpctl.policy.bindings import Bindings, target_key
from xdpctl.policy.compiler import emit_policy, requirements
from xdpctl.policy.counted import counted
from xdpctl.policy.evaluate import Decision, evaluate
from xdpctl.policy.parse import Hook, emit_parse, emit_parse_carefully
from xdpctl.policy.record import SAMPLE, TARGET
from xdpctl.policy.shape import MOST_PARAMETERS
from xdpctl.policy.steps import Steps
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Outcome, Policy

MAX_RULES = 21
MAX_COUNTERS = 64
_MASK = SAMPLE - 16  # the caller's stack, below the rules' own
_HELPER_SKB_VLAN_PUSH, _HELPER_SKB_CHANGE_TAIL = 18, 38
_SKB_MARK, _SKB_PRIORITY, _SKB_CB = 8, 32, 48
_PADDING, _LONGEST = 64, 3300  # bytes; a test run's skb is one page
_TAGS = (0x8100, 0x88A8)
_SHORT = struct.pack("=6I", 0, 14, 0, 0, 0, 0)  # struct xdp_md: data_end
_LOOPBACK = 1
"""What a test run of XDP comes in by: the port that is called eth0 here."""
_ANSWER = struct.Struct("=QIII4x")
_BPF_F_MMAPABLE = 1 << 10
_ENDS: tuple[Outcome, ...] = ("pass", "drop", "tx", "redirect")


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

    def __init__(
        self,
        policy: Policy,
        programs: dict[Way, program.Program],
        bindings: Bindings,
        answer: mmap.mmap,
    ) -> None:
        self.policy = policy
        self._programs = programs
        self._answer = answer
        self._targets = {number: key for key, number in bindings.targets.items()}

    def check(self, frame: bytes) -> int:
        """Compare all ways with the evaluator; the number of comparisons."""
        wanted = {
            Hook.XDP: evaluate(self.policy, frame, port="eth0"),
            Hook.TC: evaluate(self.policy, frame),
        }
        got = {way: self.decide(way, frame) for way in self._programs}
        seen = {way: decision for way, decision in got.items() if decision is not None}
        wrong = {way: one for way, one in seen.items() if one != wanted[way.hook]}
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
        self._programs[way].run(frame, context=context)
        mask, decided, end, target = _ANSWER.unpack_from(self._answer)
        counters = tuple(counter for counter in range(MAX_COUNTERS) if mask & 1 << counter)
        to = self._targets[target].partition(" ")[2] if _ENDS[end] == "redirect" else ""
        return Decision(_ENDS[end], decided, counters, to)


def _bindings(policy: Policy, hook: Hook, stack: ExitStack) -> Bindings:
    """Maps of its own for everything that the policy refers to."""
    rules = [rule for one in closure(policy) for rule in one.rules]
    arrays = {}
    for found in {one for rule in rules for each in rule.conditions for one in each.sets}:
        with set_maps.create_entries(found) as entries:
            arrays[found.name] = stack.enter_context(set_maps.create_array(entries, "rig"))
    limits = stack.enter_context(maps.create(maps.MapType.ARRAY, 4, 8, 64, "rig"))
    samples = stack.enter_context(maps.create(maps.MapType.RINGBUF, 0, 0, 4096, "rig"))
    targets = sorted({target_key(rule) for rule in rules if rule.target and rule.into is None})
    return Bindings(
        hook,
        {name: array.fd for name, array in arrays.items()},
        limits.fd,
        samples.fd,
        {"eth0": _LOOPBACK, "eth1": 77, "eth2": 78},
        {key: number for number, key in enumerate(targets)},
    )


@dataclass(frozen=True)
class Shared:
    """Instructions that the policy shares with others, and its own numbers."""

    steps: tuple[Steps | None, ...]
    row: tuple[int, ...]


@contextmanager
def loaded(policy: Policy, shared: Shared | None = None) -> Iterator[Rig]:
    """The policy in the kernel for all its ways, until the end of the block."""
    with ExitStack() as stack:
        programs = {}
        row = stack.enter_context(maps.create(maps.MapType.ARRAY, 4, 8 + 8 * MOST_PARAMETERS, 1,
                                              "rig"))  # fmt: skip
        numbers = (0, *shared.row) if shared is not None else ()
        row.update(bytes(4), struct.pack(f"={len(numbers)}Q", *numbers).ljust(row.width, b"\0"))
        kind, flags = maps.MapType.ARRAY, _BPF_F_MMAPABLE
        written = stack.enter_context(maps.create(kind, 4, _ANSWER.size, 1, "rig", flags=flags))
        answer = stack.enter_context(mmap.mmap(written.fd, mmap.PAGESIZE))
        for way in ways():
            bindings = _bindings(policy, way.hook, stack)
            flavour = program.Flavour.TC if way.hook is Hook.TC else program.Flavour.XDP
            steps = shared.steps if shared is not None else None
            code = instructions(policy, way, bindings, written.fd, row.fd, steps)
            programs[way] = program.load(code, flavour, "rig")
            stack.callback(programs[way].close)
        yield Rig(policy, programs, bindings, answer)


def instructions(
    policy: Policy,
    way: Way,
    bindings: Bindings,
    answer_fd: int,
    row_fd: int,
    steps: tuple[Steps | None, ...] | None = None,
) -> bytes:
    """The rig's program around the policy's."""
    assert len(counted(policy)) < MAX_COUNTERS
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
    asm.mov(R8, 0)
    asm.map_value(R9, row_fd)
    emit_policy(asm, policy, prefix="p", count=_count_rule, bindings=bindings, steps=steps)
    for number, label in enumerate(("passed", "dropped", "tx", "redirected")):
        if asm.is_used(label):
            asm.label(label)
            _answer(asm, number, answer_fd)
    return asm.assemble()


def _answer(asm: Assembler, end: int, answer_fd: int) -> None:
    """Leave the mask, the counter that decided, the end and the target in the map's value."""
    asm.store(DW, R10, _MASK - 8, R1)
    _count(asm)
    asm.map_value(R2, answer_fd)
    asm.load(DW, R1, R10, _MASK)
    asm.store(DW, R2, 0, R1)
    asm.load(DW, R1, R10, _MASK - 8)
    asm.store(W, R2, 8, R1)
    asm.store(W, R2, 12, end)
    if _ENDS[end] == "redirect":
        asm.load(W, R1, R10, TARGET)
        asm.store(W, R2, 16, R1)
    asm.mov(R0, 0)
    asm.exit()


def _count_rule(asm: Assembler, number: int) -> None:
    asm.mov(R1, number)
    _count(asm)


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
