"""A part of the pipeline, where its policies do not fit one program; and what both share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from xdpctl.bpf.asm import R0, R1, R2, R3, R6, R7, R10, Assembler, W
from xdpctl.datapath import marks
from xdpctl.datapath.bodies import (
    Body,
    Parts,
    Rows,
    emit_dispatch,
)
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.datapath.demux import HIDDEN
from xdpctl.datapath.emit import IFINDEX, Reach, embed_programs
from xdpctl.datapath.measure import XDP_PASS, emit_measure
from xdpctl.datapath.user_objects import UserObjects
from xdpctl.datapath.ways_out import FN_REDIRECT_MAP, XDP_REDIRECT, WaysOut
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import requirements
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.policy.parse_state import HIDDEN_MASK
from xdpctl.record import record


@record
class PipelineMaps:
    """The maps that the program reads and counts in, by descriptor.

    rows     where the policies' parameters stand
    ways     the ways out to other devices (ways_out.py)
    objects  users' programs
    parts    a program array; used where the policies do not fit the pipeline itself
    deliver  where devices stand that frames are redirected into, by ifindex; 0: there are none
    """

    slots: int
    displacements: int
    counters: CounterMap
    rows: Rows
    bindings: Bindings = field(default_factory=Bindings)
    ways: WaysOut = field(default_factory=WaysOut)
    parts: Parts | None = None
    objects: UserObjects | None = None
    deliver: int = 0

    @property
    def reach(self) -> Reach:
        """What policies need of them."""
        return Reach(self.counters, self.bindings, self.objects)

    def bare(self, otherwise: str) -> str:
        """Where frames go whose device has no policy."""
        return "bare" if self.deliver else otherwise


def assemble_part(
    found: Sequence[Body], maps: PipelineMaps, nonce: int, *, deep: bool
) -> Assembler:
    """A part of the pipeline: the policies `found`, for frames handed over by it."""
    asm = Assembler()
    needs = requirements(body.first.policy for body in found)
    asm.mov(R6, R1)
    emit_measure(asm)
    marks.emit_handed(asm, "drop", deep=deep)
    if deep:
        asm.load(W, R1, R10, HIDDEN)
        asm.and_(R1, HIDDEN_MASK)
        asm.sub(R7, R1)
    emit_parse(asm, Hook.XDP, needs.depth, needs.fields, hidden=HIDDEN if deep else None)
    emit_dispatch(asm, found, maps.rows, maps.reach, "drop")
    if asm.is_used("passed"):
        asm.label("passed")
        emit_count(asm, maps.counters)
        if maps.deliver:
            emit_delivery(asm, maps.deliver)
        marks.emit_sign_handed(asm, nonce, "drop", deep=deep)
        asm.mov(R0, XDP_PASS)
        asm.exit()
    maps.ways.emit_ends(asm, maps.counters, "drop")
    embed_programs(asm, [body.first for body in found], maps.reach)
    return asm


def emit_delivery(asm: Assembler, devices: int) -> None:
    """Redirect the frame into its device, where it is one of those; unmarked, as whoever has a
    program there would read the nonce. Goes on behind itself where it is not.
    """
    asm.map_fd(R1, devices)
    asm.load(W, R2, R10, IFINDEX)
    asm.mov(R3, XDP_PASS)
    asm.call(FN_REDIRECT_MAP)
    missed = asm.unique("missed")
    asm.jump("!=", R0, XDP_REDIRECT, missed)
    asm.exit()
    asm.label(missed)
