"""The programs at the devices' own tc ingress: they police what the pipeline did not.

The gate is one small program for all devices of a root: a frame with this device's metadata
before it has passed its policy in the pipeline; anything else (clones of broadcast and multicast,
frames of a sibling, frames that came while the pipeline was behind) goes on to the police. The
police is reached through a program array, so a new policy is one write, whatever the number of
devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from xdpctl.bpf.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Assembler, H, W
from xdpctl.datapath.access import emit_lookup
from xdpctl.datapath.bodies import Body, Parts, Rows, emit_dispatch, emit_part
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.datapath.description import Description
from xdpctl.datapath.emit import Reach, embed_programs
from xdpctl.datapath.layout import (
    FLOOD,
    FLOODED,
    LOWER_STAGES,
    METADATA,
    POLICE,
    halves,
    metadata_size,
)
from xdpctl.datapath.user_objects import UserObjects
from xdpctl.datapath.ways_out import TC_DROP, WaysOut
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import requirements
from xdpctl.policy.parse import Hook, emit_parse
from xdpctl.record import record

TC_NEXT = -1
LENGTH, PACKET_TYPE, VLAN_PRESENT, INGRESS, CONTROL_BLOCK, DATA, DATA_END, DATA_META = (
    0, 4, 20, 40, 48, 76, 80, 140,
)  # fmt: skip
"""Offsets in struct __sk_buff."""
PACKET_BROADCAST, PACKET_MULTICAST = 1, 2
VLAN_TAG = 4
ETHERNET_HEADER = 14
FN_STORE_BYTES, FN_CHANGE_HEAD, FN_LOAD_BYTES_RELATIVE = 9, 43, 68
BPF_HDR_START_MAC = 0
HEADER = -16
"""Stack of the gate: an Ethernet header."""


@record
class BackstopMaps:
    """The maps that the police reads and counts in, by descriptor.

    rows     where the policies' parameters stand
    ways     the ways out to other devices (ways_out.py)
    parts    a program array; used where the policies do not fit the police itself
    objects  users' programs
    port     the ifindex that every frame comes in by, where no metadata can tell it (a simulation)
    away     for devices in other namespaces: their gates say which one it is (away.py)
    """

    entries: int
    counters: CounterMap
    rows: Rows
    bindings: Bindings = field(default_factory=lambda: Bindings(Hook.TC))
    ways: WaysOut = field(default_factory=WaysOut)
    parts: Parts | None = None
    port: int | None = None
    objects: UserObjects | None = None
    away: bool = False

    @property
    def reach(self) -> Reach:
        """What policies need of them."""
        return Reach(self.counters, self.bindings, self.objects)


def assemble_gate(programs_fd: int, described: Description) -> Assembler:
    """Metadata of this device → next; everything else → the police; no police → drop.

    Above a root with generic XDP nothing is marked, so all goes to the police.
    """
    asm = Assembler()
    asm.mov(R6, R1)
    if described.mode == "native":
        emit_let_marked_through(asm, described.nonce, deep=described.deep)
    else:
        emit_repair(asm, "police", "drop")
    asm.label("police")
    asm.tail_call(R6, programs_fd, POLICE)
    asm.label("drop")
    asm.mov(R0, TC_DROP)
    asm.exit()
    return asm


def emit_signed(asm: Assembler, nonce: int, other: str) -> None:
    """R2 = the pipeline's metadata, R3 its end; goes to `other` where there is none. Clobbers R1
    and R4.
    """
    asm.load(W, R2, R6, DATA_META)
    asm.load(W, R3, R6, DATA)
    asm.mov(R4, R2)
    asm.add(R4, METADATA.size)
    asm.jump(">", R4, R3, other)
    for offset, half in zip((0, 4), halves(nonce), strict=True):
        asm.load(W, R1, R2, offset)
        asm.jump32("!=", R1, half, other)


def emit_let_marked_through(asm: Assembler, nonce: int, *, deep: bool, number: int = 0) -> None:
    """The device is the one that the frame is for, or one of those below it.

    `number` is what it is called in marks (0: its ifindex). A pipeline that becomes deep, or is so
    no more, leaves frames on their way with the shorter or the longer mark: what both have is
    looked at first.
    """
    emit_signed(asm, nonce, "police")
    if number:
        asm.load_immediate(R5, number)
    else:
        asm.load(W, R5, R6, INGRESS)
    asm.load(W, R1, R2, 8)
    if not deep:
        asm.jump("!=", R1, R5, "police")
    else:
        asm.jump("==", R1, R5, "passed")
        asm.mov(R4, R2)
        asm.add(R4, metadata_size(deep=True))
        asm.jump(">", R4, R3, "police")
        for stage in range(LOWER_STAGES):
            asm.load(W, R1, R2, METADATA.size + 4 * stage)
            asm.jump("==", R1, R5, "passed")
        asm.ja("police")
        asm.label("passed")
    asm.mov(R0, TC_NEXT)
    asm.exit()


def emit_repair(asm: Assembler, whole: str, failed: str) -> None:
    """Make the packet begin with its Ethernet header again; goes to `whole` where it does.

    Generic XDP copies a packet that has too little headroom, is cloned or not linear, and the
    copy's mac_len is 0 (seen on 6.18): tc programs behind it then see it from layer 3 on. It
    does if there is a byte as far behind the MAC header as the packet is long. The kernel puts
    mac_len right when room for the header is pushed, and the header is written into it again.
    """
    asm.load(W, R2, R6, DATA_END)
    asm.load(W, R3, R6, DATA)
    asm.sub(R2, R3)
    _load_from_mac(asm, 1)
    asm.jump("!=", R0, 0, whole)
    asm.mov(R2, 0)
    _load_from_mac(asm, ETHERNET_HEADER)
    asm.jump("!=", R0, 0, failed)
    asm.mov(R1, R6)
    asm.mov(R2, ETHERNET_HEADER)
    asm.mov(R3, 0)
    asm.call(FN_CHANGE_HEAD)
    asm.jump("!=", R0, 0, failed)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    asm.mov(R3, R10)
    asm.add(R3, HEADER)
    asm.mov(R4, ETHERNET_HEADER)
    asm.mov(R5, 0)
    asm.call(FN_STORE_BYTES)
    asm.jump("!=", R0, 0, failed)


def _load_from_mac(asm: Assembler, size: int) -> None:
    """`size` bytes from R2 bytes behind the MAC header on; R0 = 0 if they are there."""
    asm.mov(R1, R6)
    asm.mov(R3, R10)
    asm.add(R3, HEADER)
    asm.mov(R4, size)
    asm.mov(R5, BPF_HDR_START_MAC)
    asm.call(FN_LOAD_BYTES_RELATIVE)


def assemble_police(described: Description, found: Sequence[Body], maps: BackstopMaps) -> Assembler:
    """The device's policy for frames that have not passed it yet; in parts if `maps.parts`."""
    asm = Assembler()
    asm.mov(R6, R1)
    _measure(asm)
    _find_device(asm, maps)
    if maps.parts is not None:
        _hand_over(asm, maps.parts, maps.rows)
    else:
        _police(asm, found, maps, described.nonce)
    asm.label("passed")
    emit_count(asm, maps.counters)
    asm.mov(R0, TC_NEXT)
    asm.exit()
    maps.ways.emit_tc(asm, maps.counters, maps.entries)
    asm.label("dropped")
    emit_count(asm, maps.counters)
    asm.label("drop")
    asm.mov(R0, TC_DROP)
    asm.exit()
    return asm


def assemble_part(found: Sequence[Body], maps: BackstopMaps, nonce: int) -> Assembler:
    """A part of the police: the policies `found`, for frames handed over by it."""
    asm = Assembler()
    asm.mov(R6, R1)
    _measure(asm)
    asm.load(W, R8, R6, CONTROL_BLOCK)
    asm.load(W, R9, R6, CONTROL_BLOCK + 4)
    _police(asm, found, maps, nonce)
    if asm.is_used("passed"):
        asm.label("passed")
        emit_count(asm, maps.counters)
        asm.mov(R0, TC_NEXT)
        asm.exit()
    maps.ways.emit_tc(asm, maps.counters, maps.entries)
    if asm.is_used("dropped"):
        asm.label("dropped")
        emit_count(asm, maps.counters)
    asm.label("drop")
    asm.mov(R0, TC_DROP)
    asm.exit()
    embed_programs(asm, [body.first for body in found], maps.reach)
    return asm


def _police(asm: Assembler, found: Sequence[Body], maps: BackstopMaps, nonce: int) -> None:
    needs = requirements(body.first.policy for body in found)
    port = maps.port
    emit_parse(
        asm,
        Hook.TC,
        needs.depth,
        needs.fields,
        lambda inner: _port(inner, nonce) if port is None else inner.mov(R1, port),
    )
    emit_dispatch(asm, found, maps.rows, maps.reach, "drop")


def _port(asm: Assembler, nonce: int) -> None:
    """R1 = the port by which the frame came in from the wire, 0 of a sibling's."""
    unknown, known = asm.unique("unknown"), asm.unique("known")
    emit_signed(asm, nonce, unknown)
    asm.load(W, R1, R2, 12)
    asm.ja(known)
    asm.label(unknown)
    asm.mov(R1, 0)
    asm.label(known)


def _hand_over(asm: Assembler, parts: Parts, rows: Rows) -> None:
    """Go on in the part that has the policy R9; no part, no passage."""
    asm.store(W, R6, CONTROL_BLOCK, R8)
    asm.store(W, R6, CONTROL_BLOCK + 4, R9)
    emit_part(asm, parts, rows, "drop")


def _measure(asm: Assembler) -> None:
    """R7 = bytes of the frame as on the wire: a tag kept beside the packet counts as well."""
    asm.load(W, R7, R6, LENGTH)
    asm.load(W, R1, R6, VLAN_PRESENT)
    asm.jump("==", R1, 0, "measured")
    asm.add(R7, VLAN_TAG)
    asm.label("measured")


def _find_device(asm: Assembler, maps: BackstopMaps) -> None:
    """R8 = the device's block, R9 = its policy. Broadcast and multicast obey its flood rule.

    A device that is not in the map is one whose policy is being set up: nothing gets through.
    """
    asm.load(W, R3, R6, CONTROL_BLOCK if maps.away else INGRESS)
    emit_lookup(asm, maps.entries, R3, "drop")
    asm.load(W, R8, R0, 4)
    asm.load(H, R9, R0, 0)
    asm.load(H, R2, R0, 2)
    asm.jump("==", R2, FLOOD["enforce"], "enforce")
    asm.load(W, R3, R6, PACKET_TYPE)
    asm.jump("==", R3, PACKET_BROADCAST, "flood")
    asm.jump("!=", R3, PACKET_MULTICAST, "enforce")
    asm.label("flood")
    asm.mov(R1, FLOODED)
    asm.jump("==", R2, FLOOD["pass"], "passed")
    asm.ja("dropped")
    asm.label("enforce")
