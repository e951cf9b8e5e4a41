"""The root's XDP program: root stage, dispatch by destination MAC, device stage, verdict.

frame → [root's policy] → multicast? → stack (each device's backstop sees its clone)
                        → slot of the MAC? no → `unknown`
                        → the device's policy → pass: metadata before the frame, to the stack
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R7, R8, R9, R10, Assembler, H, W
from xdpctl.datapath.access import emit_place
from xdpctl.datapath.bodies import Body, Parts, Rows, emit_dispatch, emit_part, part_cases
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.datapath.description import Description
from xdpctl.datapath.emit import IFINDEX, Reach, embed_programs, emit_stage, stages
from xdpctl.datapath.hashing import START_SHIFT
from xdpctl.datapath.layout import (
    ADDRESS_BITS,
    DISPLACEMENT,
    HANDOVER,
    METADATA,
    SLOT,
    UNKNOWN,
    halves,
)
from xdpctl.datapath.user_objects import UserObjects
from xdpctl.datapath.ways_out import WaysOut
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import requirements
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.topology.model import Policy

XDP_DROP, XDP_PASS = 1, 2
FN_ADJUST_META, FN_BUFF_LEN = 54, 188
DATA, DATA_END, DATA_META = 0, 4, 8
ETHERNET_HEADER = 14
LINEAR_FRAME = 1024
"""Only a frame with a longer linear part can have fragments behind it: drivers fill a buffer
before they start the next. Shorter ones are measured without the call."""


@dataclass(frozen=True, slots=True)
class PipelineMaps:
    """The maps that the program reads and counts in, by descriptor.

    rows     where the policies' parameters stand
    ways     the ways out to other devices (ways_out.py)
    objects  users' programs
    parts    a program array; used where the policies do not fit the pipeline itself
    """

    slots: int
    displacements: int
    counters: CounterMap
    rows: Rows
    bindings: Bindings = field(default_factory=Bindings)
    ways: WaysOut = field(default_factory=WaysOut)
    parts: Parts | None = None
    objects: UserObjects | None = None

    @property
    def reach(self) -> Reach:
        """What policies need of them."""
        return Reach(self.counters, self.bindings, self.objects)


def assemble(
    described: Description,
    policies: Mapping[str, Policy],
    found: Sequence[Body],
    maps: PipelineMaps,
) -> Assembler:
    """The whole program; where `maps.parts` is given the device's policies stand in parts.

    In generic mode there is an skb already, so nothing is gained by running the devices' policies
    here, and metadata does not survive (see backstop.py): the devices' own backstops run them.
    """
    asm = Assembler()
    asm.mov(R6, R1)
    _measure(asm)
    needs = requirements(policies.values())
    root = described.root_policy
    is_parsed = root is not None and policies[root].object is None
    if is_parsed:
        emit_parse(asm, Hook.XDP, needs.depth, needs.fields)
    if root is not None:
        _root_stage(asm, described, policies, maps)
        if not asm.is_used("root_passed"):  # the verifier refuses what nothing reaches
            _ends(asm, maps)
            return asm
    if root is not None and not is_parsed:
        _measure(asm)  # the user's program may have changed the frame
    _demultiplex(asm, described, maps)
    if not found:
        asm.ja("stack")
    elif maps.parts is not None:
        _hand_over(asm, maps.parts, maps.rows)
    else:
        if not is_parsed:
            emit_parse(asm, Hook.XDP, needs.depth, needs.fields)
        emit_dispatch(asm, found, maps.rows, maps.reach, "stack")
    _verdicts(asm, described, maps, is_port_needed="port" in needs.fields)
    embed_programs(asm, stages(policies, described.policies), maps.reach)
    return asm


def assemble_part(found: Sequence[Body], maps: PipelineMaps, nonce: int) -> Assembler:
    """A part of the pipeline: the policies `found`, for frames handed over by it."""
    asm = Assembler()
    needs = requirements(body.first.policy for body in found)
    asm.mov(R6, R1)
    _measure(asm)
    _handed(asm, "drop")
    asm.load(W, R1, R2, 8)
    asm.store(W, R10, IFINDEX, R1)
    asm.load(W, R8, R2, METADATA.size)
    asm.load(W, R9, R2, METADATA.size + 4)
    emit_parse(asm, Hook.XDP, needs.depth, needs.fields)
    emit_dispatch(asm, found, maps.rows, maps.reach, "drop")
    if asm.is_used("passed"):
        asm.label("passed")
        emit_count(asm, maps.counters)
        _handed(asm, "drop")
        _sign(asm, nonce)
        _tell(asm)  # a user's program may have put metadata of its own before ours
        asm.mov(R0, XDP_PASS)
        asm.exit()
    maps.ways.emit_xdp(asm, maps.counters)
    if asm.is_used("dropped"):
        asm.label("dropped")
        emit_count(asm, maps.counters)
    asm.label("short")
    asm.label("drop")
    asm.mov(R0, XDP_DROP)
    asm.exit()
    embed_programs(asm, [body.first for body in found], maps.reach)
    return asm


def _measure(asm: Assembler) -> None:
    """R7 = bytes of the whole frame of the context R6, R9 = its first 8 bytes as they stand."""
    measured = asm.unique("measured")
    asm.load(W, R2, R6, DATA)
    asm.load(W, R3, R6, DATA_END)
    asm.mov(R7, R3)
    asm.sub(R7, R2)
    asm.jump("<=", R7, LINEAR_FRAME, measured)
    asm.mov(R1, R6)
    asm.call(FN_BUFF_LEN)
    asm.mov(R7, R0)
    asm.load(W, R2, R6, DATA)
    asm.load(W, R3, R6, DATA_END)
    asm.label(measured)
    asm.mov(R4, R2)
    asm.add(R4, ETHERNET_HEADER)
    asm.jump(">", R4, R3, "short")
    asm.load(DW, R9, R2, 0)


def _root_stage(
    asm: Assembler, described: Description, policies: Mapping[str, Policy], maps: PipelineMaps
) -> None:
    """The root's own policy: every frame passes it first."""
    (stage,) = [
        stage
        for stage in stages(policies, described.policies)
        if stage.layout.name == described.root_policy
    ]
    asm.mov(R8, described.root_block)
    emit_stage(asm, stage, maps.reach, passed="root_passed", prefix="root")
    if asm.is_used("root_passed"):
        asm.label("root_passed")
        emit_count(asm, maps.counters)


def _demultiplex(asm: Assembler, described: Description, maps: PipelineMaps) -> None:
    """R9 = index of the device's policy, R8 = its block, its ifindex on the stack."""
    shape = described.shape
    asm.jump("&", R9, 1, "flooded")  # the group bit: multicast and broadcast
    asm.big_endian(R9, 64)
    asm.rsh(R9, 64 - ADDRESS_BITS)
    asm.mov(R8, R9)
    asm.load_immediate(R2, shape.multiplier)
    asm.mul(R8, R2)
    asm.mov(R3, R8)
    asm.rsh(R3, 64 - shape.bucket_bits)
    emit_place(asm, maps.displacements, R3, DISPLACEMENT.size)
    asm.load(H, R0, R0, 0)
    asm.rsh(R8, START_SHIFT)
    asm.add(R8, R0)
    asm.and_(R8, shape.slots - 1)
    emit_place(asm, maps.slots, R8, SLOT.size)
    asm.load(DW, R1, R0, 0)
    asm.mov(R2, R1)
    asm.lsh(R2, 64 - ADDRESS_BITS)
    asm.rsh(R2, 64 - ADDRESS_BITS)
    asm.jump("!=", R2, R9, "unknown")
    asm.label("found")
    asm.load(W, R8, R0, 8)
    asm.load(W, R2, R0, SLOT.size - 4)
    asm.store(W, R10, IFINDEX, R2)
    asm.mov(R9, R1)
    asm.rsh(R9, ADDRESS_BITS)
    asm.jump("==", R9, 0, "stack")


def _verdicts(
    asm: Assembler, described: Description, maps: PipelineMaps, *, is_port_needed: bool
) -> None:
    """Every way out. A driver that refuses metadata leaves the frame to the backstop.

    The devices' policies meet the clones of a flooded frame, which must bring along their port.
    """
    if asm.is_used("passed"):
        asm.label("passed")
        emit_count(asm, maps.counters)
        _mark(asm, described.nonce)
        asm.ja("stack")
    asm.label("flooded")
    if is_port_needed and described.mode == "native":
        asm.store(W, R10, IFINDEX, 0)
        _mark(asm, described.nonce)
    asm.label("stack")
    asm.mov(R0, XDP_PASS)
    asm.exit()
    _ends(asm, maps)
    asm.label("unknown")
    if described.catch_all:
        asm.map_value(R0, maps.slots, described.shape.slots * SLOT.size)
        asm.load(DW, R1, R0, 0)
        asm.ja("found")
        return
    asm.mov(R8, described.root_block)
    asm.mov(R1, UNKNOWN)
    emit_count(asm, maps.counters)
    asm.ja("stack" if described.unknown == "pass" else "short")


def _ends(asm: Assembler, maps: PipelineMaps) -> None:
    """The ways out that end at the root."""
    maps.ways.emit_xdp(asm, maps.counters)
    if asm.is_used("dropped"):
        asm.label("dropped")
        emit_count(asm, maps.counters)
    asm.label("short")
    asm.mov(R0, XDP_DROP)
    asm.exit()


def _mark(asm: Assembler, nonce: int) -> None:
    """Put nonce and ifindex before the frame: the backstop lets it through, and only it."""
    _grow(asm, METADATA.size)
    _sign(asm, nonce)
    _tell(asm)


def _sign(asm: Assembler, nonce: int) -> None:
    """The nonce at R2."""
    low, high = halves(nonce)
    asm.store(W, R2, 0, low)
    asm.store(W, R2, 4, high)


def _tell(asm: Assembler) -> None:
    """The device and the port, behind the nonce at R2."""
    asm.load(W, R1, R10, IFINDEX)
    asm.store(W, R2, 8, R1)
    asm.load(W, R1, R6, Hook.XDP.value.device)
    asm.store(W, R2, 12, R1)


def _hand_over(asm: Assembler, parts: Parts, rows: Rows) -> None:
    """Go on in the part that has the policy R9. A frame that no part takes stays unmarked, so
    the backstop polices it.
    """
    _grow(asm, HANDOVER.size)
    _sign(asm, 0)
    _tell(asm)
    asm.store(W, R2, METADATA.size, R8)
    asm.store(W, R2, METADATA.size + 4, R9)
    emit_part(asm, part_cases(parts.split), rows, "stack")
    for number, (_, label) in enumerate(part_cases(parts.split)):
        asm.label(label)
        asm.tail_call(R6, parts.array, number)
        asm.ja("stack")


def _grow(asm: Assembler, size: int) -> None:
    """R2 = `size` bytes of metadata before the frame; without them the frame goes to the stack."""
    asm.mov(R1, R6)
    asm.mov(R2, -size)
    asm.call(FN_ADJUST_META)
    asm.jump("!=", R0, 0, "stack")
    asm.load(W, R2, R6, DATA_META)
    asm.load(W, R3, R6, DATA)
    asm.mov(R4, R2)
    asm.add(R4, size)
    asm.jump(">", R4, R3, "stack")


def _handed(asm: Assembler, missing: str) -> None:
    """R2 = the metadata that the pipeline left."""
    asm.load(W, R2, R6, DATA_META)
    asm.load(W, R3, R6, DATA)
    asm.mov(R4, R2)
    asm.add(R4, HANDOVER.size)
    asm.jump(">", R4, R3, missing)
