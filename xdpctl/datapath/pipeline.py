"""The root's XDP program: stages in the order of the way up, each a policy; then the verdict.

frame → [policy of the port] → [root's policy] → multicast? → stack (each device's backstop sees its
                                                                   clone)
                → [VLAN tags → their devices' policies] → slot of the MAC? no → `unknown`
                → [policy of the bridge] → the device's policy → pass: metadata before the frame, to
                                                                  the stack
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdpctl.bpf.asm import DW, R0, R1, R6, R8, R9, R10, Assembler, W
from xdpctl.datapath import marks
from xdpctl.datapath.bodies import (
    Body,
    emit_dispatch,
    emit_part,
    used,
)
from xdpctl.datapath.counter_map import emit_count
from xdpctl.datapath.demux import HIDDEN, HUB_CELL, Deep, emit_any_passed, emit_flat
from xdpctl.datapath.description import Description
from xdpctl.datapath.emit import IFINDEX, embed_programs, emit_stage, stages
from xdpctl.datapath.layout import BRIDGE_LEVEL, UNKNOWN
from xdpctl.datapath.measure import XDP_PASS, emit_measure
from xdpctl.datapath.pipeline_part import PipelineMaps, emit_delivery
from xdpctl.datapath.slot_map import slot_size
from xdpctl.policy.compiler import requirements
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.topology.model import Policy


def assemble(
    described: Description,
    policies: Mapping[str, Policy],
    found: Sequence[Body],
    maps: PipelineMaps,
) -> Assembler:
    """The whole program; where `maps.parts` is given the devices' policies stand in parts.

    In generic mode there is an skb already, so nothing is gained by running the devices' policies
    here, and metadata does not survive (see backstop.py): the devices' own backstops run them.
    """
    asm = Assembler()
    asm.mov(R6, R1)
    emit_measure(asm)
    _Pipeline(asm, described, policies, found, maps).emit()
    embed_programs(asm, stages(policies, described.policies), maps.reach)
    return asm


class _Pipeline:
    """One program being emitted."""

    def __init__(
        self,
        asm: Assembler,
        described: Description,
        policies: Mapping[str, Policy],
        found: Sequence[Body],
        maps: PipelineMaps,
    ) -> None:
        self._asm = asm
        self._described = described
        self._policies = policies
        self._maps = maps
        self._needs = requirements(policies.values())
        levels = described.levels
        self._ports = used(found, {each.policy for each in described.ports.values()})
        self._tags = [used(found, policies_there) for policies_there in levels.tags]
        self._bridges = used(found, levels.bridges)
        self._devices = used(found, levels.devices)
        self._is_parsed = False

    def emit(self) -> None:
        """All stages, then the ways out."""
        asm = self._asm
        if self._ports:
            self._emit_ports()
            if not asm.is_used("port_done"):  # the verifier refuses what nothing reaches
                self._maps.ways.emit_ends(asm, self._maps.counters)
                return
        if self._described.root_policy is not None:
            self._emit_root(self._described.root_policy)
            if not asm.is_used("root_passed"):
                self._maps.ways.emit_ends(asm, self._maps.counters)
                return
        if self._described.deep:
            self._emit_deep()
        else:
            bare = self._maps.bare("stack")
            emit_flat(asm, self._described, self._maps.slots, self._maps.displacements, bare)
            self._emit_devices(hidden=False)
        self._emit_verdicts()

    # --- the stages

    def _emit_ports(self) -> None:
        """The policy of the port that the frame came in by, if it has one."""
        asm, ports = self._asm, self._described.ports
        self._parse(self._ports)
        asm.load(W, R1, R6, Hook.XDP.value.device)
        for number, port in enumerate(ports.values()):
            asm.jump("==", R1, port.ifindex, f"port{number}")
        asm.ja("port_done")
        for number, port in enumerate(ports.values()):
            asm.label(f"port{number}")
            asm.mov(R8, port.block)
            asm.mov(R9, self._described.policies[port.policy].index)
            asm.ja("ports")
        asm.label("ports")
        self._dispatch(self._ports, "short", "port_passed")
        if asm.is_used("port_passed"):
            asm.label("port_passed")
            emit_count(asm, self._maps.counters)
        asm.label("port_done")
        emit_measure(asm)  # R9 was the policy; and a user's program may have changed the frame
        if any(body.first.policy.object is not None for body in self._ports):
            self._is_parsed = False

    def _emit_root(self, name: str) -> None:
        """The root's own policy: every frame passes it."""
        asm, described = self._asm, self._described
        (stage,) = [
            stage
            for stage in stages(self._policies, described.policies)
            if stage.layout.name == name
        ]
        is_rules = stage.policy.object is None
        if is_rules and not self._is_parsed:
            emit_parse(asm, Hook.XDP, self._needs.depth, self._needs.fields)
            self._is_parsed = True
        asm.mov(R8, described.root_block)
        emit_stage(asm, stage, self._maps.reach, passed="root_passed", prefix="root")
        if asm.is_used("root_passed"):
            asm.label("root_passed")
            emit_count(asm, self._maps.counters)
            if not is_rules:
                emit_measure(asm)
                self._is_parsed = False

    def _emit_deep(self) -> None:
        """VLANs, bridge and device, in the order in which the frame comes by."""
        asm = self._asm
        deep = Deep(asm, self._described, self._maps.slots, self._maps.displacements)
        deep.emit_start()
        for level, found in enumerate(self._tags):
            deep.emit_tag(level, "address")
            self._emit_lower(deep, level, found)
        asm.label("address")
        deep.emit_address()
        self._emit_lower(deep, BRIDGE_LEVEL, self._bridges)
        deep.emit_device(self._maps.bare("finish"))
        self._emit_devices(hidden=True)
        if asm.is_used("bare"):
            asm.label("bare")
            emit_delivery(asm, self._maps.deliver)
        asm.label("finish")
        emit_any_passed(asm, "stack")
        asm.store(W, R10, IFINDEX, 0)
        asm.ja("mark")

    def _emit_lower(self, deep: Deep, level: int, found: Sequence[Body]) -> None:
        """The stage of a device below the one that the frame is for: policy R9, 0: it has none."""
        asm = self._asm
        done, passed = f"lower{level}", f"lower{level}_passed"
        if not found:
            asm.jump("!=", R9, 0, "stack")
            return
        asm.jump("==", R9, 0, done)
        self._parse(found, hidden=True)
        self._dispatch(found, "stack", passed)
        if asm.is_used(passed):
            asm.label(passed)
            emit_count(asm, self._maps.counters)
            deep.emit_passed(level)
        asm.label(done)

    def _emit_devices(self, *, hidden: bool) -> None:
        """The policy R9 of the device that the frame is for."""
        asm, maps = self._asm, self._maps
        if not self._devices:
            asm.ja(maps.bare("stack"))
        elif maps.parts is not None:
            marks.emit_hand_over(asm, deep=self._described.deep)
            emit_part(asm, maps.parts, maps.rows, "stack")
        else:
            self._parse(self._devices, hidden=hidden)
            self._dispatch(self._devices, "stack", "passed")

    def _parse(self, found: Sequence[Body], *, hidden: bool = False) -> None:
        """Parse for these bodies, unless the record is of this frame as they see it already."""
        asm = self._asm
        if all(body.first.policy.object is not None for body in found):
            return
        if not hidden:
            if not self._is_parsed:
                emit_parse(asm, Hook.XDP, self._needs.depth, self._needs.fields)
                self._is_parsed = True
            return
        needs = requirements(body.first.policy for body in found)
        parsed = asm.unique("shown")
        if self._is_parsed:
            asm.load(W, R1, R10, HIDDEN)
            asm.jump("==", R1, 0, parsed)
        emit_parse(asm, Hook.XDP, needs.depth, needs.fields, hidden=HIDDEN)
        asm.label(parsed)

    def _dispatch(self, found: Sequence[Body], missing: str, passed: str) -> None:
        emit_dispatch(self._asm, found, self._maps.rows, self._maps.reach, missing, passed)

    # --- the ways out

    def _emit_verdicts(self) -> None:
        """Every way out. A driver that refuses metadata leaves the frame to the backstop.

        The devices' policies meet the clones of a flooded frame, which must bring along their port.
        """
        asm, described = self._asm, self._described
        if asm.is_used("passed"):
            asm.label("passed")
            emit_count(asm, self._maps.counters)
            if self._maps.deliver:
                emit_delivery(asm, self._maps.deliver)
        if asm.is_used("passed") or asm.is_used("mark"):
            asm.label("mark")
            marks.emit_mark(asm, described.nonce, deep=described.deep)
            asm.ja("stack")
        if asm.is_used("bare") and not described.deep:
            asm.label("bare")
            emit_delivery(asm, self._maps.deliver)
            asm.ja("stack")
        asm.label("flooded")
        if "port" in self._needs.fields and described.mode == "native":
            asm.store(W, R10, IFINDEX, 0)
            marks.emit_mark(asm, described.nonce, deep=described.deep)
        asm.label("stack")
        asm.mov(R0, XDP_PASS)
        asm.exit()
        self._maps.ways.emit_ends(asm, self._maps.counters)
        asm.label("unknown")
        self._emit_unknown()

    def _emit_unknown(self) -> None:
        """Unicast for no device of this hub; a passthru device takes what is for nobody else."""
        asm, described = self._asm, self._described
        unknown = "for_nobody"
        if described.catch_all:
            if described.deep:
                asm.load(DW, R1, R10, HUB_CELL)
                asm.jump("!=", R1, 0, unknown)
            place = described.shape.slots * slot_size(deep=described.deep)
            asm.map_value(R0, self._maps.slots, place)
            asm.load(DW, R1, R0, 0)
            asm.ja("found")
            if not described.deep:
                return
        asm.label(unknown)
        asm.mov(R8, described.root_block)
        asm.mov(R1, UNKNOWN)
        emit_count(asm, self._maps.counters)
        passed = "finish" if described.deep else "stack"
        asm.ja(passed if described.unknown == "pass" else "short")
