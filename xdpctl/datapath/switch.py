"""The program at a device that frames are delivered to by redirect: what comes from it.

frame → [the device's egress policy] → group → up, to the relay (relay.py)
                                     → a sibling → its policy → straight into it
                                     → a macvlan on the same root → up, to the relay
                                     → anybody else → straight out of the root

A device is in the map of uplinks if frames are delivered to it; the slots say who has an address.
Both stages run in the same instructions, one after the other: STAGE says which one it is, and the
verifier walks them once for each. Policies that do not fit one program, and users' programs, stand
in parts; each goes on by itself to whom the frame is for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import field

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R8, R9, R10, Assembler, H, W
from xdpctl.datapath.access import emit_lookup
from xdpctl.datapath.bodies import Body, Parts, Rows, emit_dispatch, emit_part
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.datapath.demux import emit_own
from xdpctl.datapath.description import Description
from xdpctl.datapath.emit import IFINDEX, Reach, embed_programs
from xdpctl.datapath.layout import METADATA, UPLINK_BARE
from xdpctl.datapath.marks import emit_room, emit_sign
from xdpctl.datapath.measure import (
    DATA,
    DATA_END,
    ETHERNET_HEADER,
    XDP_DROP,
    XDP_PASS,
    emit_measure,
)
from xdpctl.datapath.user_objects import UserObjects
from xdpctl.datapath.ways_out import FN_REDIRECT_MAP, WaysOut
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import requirements
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.record import record

STAGE = -144
"""Stack: 0 while the frame meets the policy of whom it comes from, 1 of whom it goes to (u32)."""
HANDED = struct.Struct("=IIII")
"""What a part is told, in a cell for each CPU: counter block, policy, STAGE, IFINDEX. Not metadata:
tun takes none before 6.15 or so."""
ROOT_KEY = 0xFFFF_FFFF
"""The key of the root itself among the devices that frames are delivered to: no ifindex is that."""


@record
class UplinkMaps:
    """The maps that the program reads and counts in, by descriptor.

    uplinks    the devices that it is attached to, by ifindex
    deliver    where frames are sent: a DEVMAP_HASH by ifindex, the root by ROOT_KEY
    objects    users' programs
    parts      a program array; used where the policies do not fit one program
    handed     a per-CPU array of one HANDED, where there are parts
    """

    slots: int
    displacements: int
    uplinks: int
    deliver: int
    counters: CounterMap
    rows: Rows
    bindings: Bindings = field(default_factory=Bindings)
    ways: WaysOut = field(default_factory=WaysOut)
    objects: UserObjects | None = None
    parts: Parts | None = None
    handed: int = 0

    @property
    def reach(self) -> Reach:
        """What policies need of them."""
        return Reach(self.counters, self.bindings, self.objects)


def assemble_uplink(
    described: Description, found: Sequence[Body], maps: UplinkMaps, *, direct: bool
) -> Assembler:
    """The whole program, or, if `maps.parts`, what comes before and between them. A device that is
    not in the map is being set up: nothing gets through.

    `direct`: the root takes frames from XDP; else the relay sends them out.
    """
    asm = Assembler()
    asm.mov(R6, R1)
    emit_measure(asm)
    asm.load(W, R3, R6, Hook.XDP.value.device)
    emit_lookup(asm, maps.uplinks, R3, "short")
    asm.load(W, R8, R0, 4)
    asm.load(H, R9, R0, 0)
    asm.store(W, R10, STAGE, 0)
    asm.store(W, R10, IFINDEX, 0)
    asm.jump("==", R9, 0, "onward")
    if maps.parts is not None:
        _hand_over(asm, maps, maps.parts)
    elif found:
        asm.label("police")
        _police(asm, found, maps)
    _onward(asm, described, maps, is_policed=bool(found), direct=direct)
    maps.ways.emit_ends(asm, maps.counters)
    return asm


def assemble_uplink_part(
    described: Description, found: Sequence[Body], maps: UplinkMaps, *, direct: bool
) -> Assembler:
    """A part: the policies `found`, for frames handed over by the program or by another part."""
    assert maps.parts is not None
    asm = Assembler()
    asm.mov(R6, R1)
    emit_measure(asm)
    asm.mov(R3, 0)
    emit_lookup(asm, maps.handed, R3, "short")
    asm.load(W, R8, R0, 0)
    asm.load(W, R9, R0, 4)
    for cell, offset in ((STAGE, 8), (IFINDEX, 12)):
        asm.load(W, R1, R0, offset)
        asm.store(W, R10, cell, R1)
    _police(asm, found, maps)
    if asm.is_used("passed"):
        _onward(asm, described, maps, is_policed=True, direct=direct)
        _hand_over(asm, maps, maps.parts)
    maps.ways.emit_ends(asm, maps.counters)
    embed_programs(asm, [body.first for body in found], maps.reach)
    return asm


def _hand_over(asm: Assembler, maps: UplinkMaps, parts: Parts) -> None:
    """Go on in the part that has the policy R9, with the counter block R8; no part, no passage."""
    asm.label("police")
    asm.mov(R3, 0)
    emit_lookup(asm, maps.handed, R3, "short")
    asm.store(W, R0, 0, R8)
    asm.store(W, R0, 4, R9)
    for cell, offset in ((STAGE, 8), (IFINDEX, 12)):
        asm.load(W, R1, R10, cell)
        asm.store(W, R0, offset, R1)
    emit_part(asm, parts, maps.rows, "short")


def _police(asm: Assembler, found: Sequence[Body], maps: UplinkMaps) -> None:
    """The policy R9 with the counter block R8, of whichever stage."""
    needs = requirements(body.first.policy for body in found)
    emit_parse(asm, Hook.XDP, needs.depth, needs.fields, lambda inner: inner.mov(R1, 0))
    emit_dispatch(asm, found, maps.rows, maps.reach, "short", "passed")
    if asm.is_used("passed"):
        asm.label("passed")
        emit_count(asm, maps.counters)
        asm.load(W, R1, R10, STAGE)
        asm.jump("!=", R1, 0, "deliver")


def _onward(
    asm: Assembler, described: Description, maps: UplinkMaps, *, is_policed: bool, direct: bool
) -> None:
    """To whom the frame is for, and all the ways there."""
    asm.label("onward")
    _towards(asm, described, maps, is_policed=is_policed)
    asm.label("deliver")
    _redirect(asm, maps)
    asm.label("out")
    if direct:
        asm.store(W, R10, IFINDEX, ROOT_KEY)
        _redirect(asm, maps)
    asm.label("up")
    _mark(asm, described.nonce)
    asm.mov(R0, XDP_PASS)
    asm.exit()
    asm.label("stack")
    _tell_bare(asm, maps)
    asm.mov(R0, XDP_PASS)
    asm.exit()


def _towards(asm: Assembler, described: Description, maps: UplinkMaps, *, is_policed: bool) -> None:
    """Who has the frame's address, and what is the policy of that device."""
    asm.load(W, R2, R6, DATA)
    asm.load(W, R3, R6, DATA_END)
    asm.mov(R4, R2)
    asm.add(R4, ETHERNET_HEADER)
    asm.jump(">", R4, R3, "short")
    asm.load(DW, R9, R2, 0)
    asm.jump("&", R9, 1, "up")  # the group bit
    emit_own(asm, described, maps.slots, maps.displacements, "out")
    asm.jump("==", R3, 0, "out")  # the root itself, which a macvlan does not reach either
    asm.store(W, R10, IFINDEX, R3)
    emit_lookup(asm, maps.uplinks, R3, "up")
    if is_policed:
        asm.jump("==", R9, 0, "deliver")
        asm.store(W, R10, STAGE, 1)
        asm.ja("police")


def _redirect(asm: Assembler, maps: UplinkMaps) -> None:
    asm.map_fd(R1, maps.deliver)
    asm.load(W, R2, R10, IFINDEX)
    asm.mov(R3, XDP_DROP)
    asm.call(FN_REDIRECT_MAP)
    asm.exit()


def _mark(asm: Assembler, nonce: int) -> None:
    """Tell the relay that the frame has passed this device's egress policy; it comes by no port."""
    emit_room(asm, METADATA.size)
    emit_sign(asm, nonce)
    asm.load(W, R1, R6, Hook.XDP.value.device)
    asm.store(W, R2, 8, R1)
    asm.store(W, R2, 12, 0)


def _tell_bare(asm: Assembler, maps: UplinkMaps) -> None:
    """The driver takes no metadata (tun before 6.15 or so, and vhost): the relay must take frames
    of this device as they come, which is to say that it must trust in this program.
    """
    asm.load(W, R3, R6, Hook.XDP.value.device)
    emit_lookup(asm, maps.uplinks, R3, "short")
    asm.mov(R1, 1)
    asm.store(H, R0, UPLINK_BARE, R1)
