"""What XDP cannot do of a switch: one frame to many devices, and up into the stack as well.

The flood stands at the root's tc ingress. What is for a group goes on to the stack, and a clone to
each device that frames are delivered to by redirect; so does what is for nobody, as a switch that
does not know where has it. What XDP has not redirected (its driver does not run it natively, or the
device has just come) is sent on from here.

The relay stands at the tc ingress of these devices. It takes frames that the program there has
passed (switch.py), and no others: to a group, a clone for each sibling and one for the wire; to a
macvlan, up through the root, whose receive path is the only way into it.

Clones leave by the devices' tc egress, where the gate and the police meet them; redirected frames
do not, so each meets its policy once.
"""

from __future__ import annotations

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R9, R10, Assembler, H, W
from xdpctl.datapath.access import emit_lookup
from xdpctl.datapath.backstop import (
    DATA,
    DATA_END,
    ETHERNET_HEADER,
    INGRESS,
    TC_NEXT,
    VLAN_PRESENT,
    emit_repair,
    emit_signed,
)
from xdpctl.datapath.demux import emit_own
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import (
    MEMBERS,
    MEMBERS_STACKED,
    MEMBERS_TAGGED,
    MEMBERS_UNKNOWN,
    UPLINK_BARE,
    halves,
)
from xdpctl.datapath.ways_out import FN_REDIRECT, TC_DROP
from xdpctl.record import record

FN_CLONE_REDIRECT, FN_LOOP = 13, 181
TO_INGRESS = 1
"""BPF_F_INGRESS."""
CONTEXT, LEFT_OUT = -160, -152
"""Stack: what the loop's function is given, the packet and the device that gets no clone."""
MARK = 8
"""Offset in struct __sk_buff."""
COUNT, ROOT, FLAGS = 0, 4, 8
"""Offsets in MEMBERS."""


@record
class RelayMaps:
    """The maps that they look into, by descriptor.

    members   the devices to clone for
    capacity  how many of them there is room for, a power of two
    """

    slots: int
    displacements: int
    uplinks: int
    members: int
    capacity: int


def assemble_relay(described: Description, maps: RelayMaps) -> Assembler:
    """At a device that frames are delivered to. What comes unmarked has met no policy, and is
    dropped, where marks are possible.
    """
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R9, R6, INGRESS)
    asm.store(W, R10, LEFT_OUT, R9)
    emit_signed(asm, described.nonce, "bare")
    asm.load(W, R1, R2, 8)
    asm.jump("==", R1, R9, "policed")
    asm.label("bare")
    emit_lookup(asm, maps.uplinks, R9, "drop")
    asm.load(H, R1, R0, UPLINK_BARE)
    asm.jump("==", R1, 0, "drop")
    asm.label("policed")
    _address(asm, "drop")
    asm.jump("&", R9, 1, "group")
    emit_own(asm, described, maps.slots, maps.displacements, "out")
    asm.jump("!=", R3, 0, "stacked")
    asm.label("out")
    _send(asm, maps, 0)
    asm.label("group")
    _clones(asm, maps)
    asm.map_value(R1, maps.members)
    asm.load(W, R2, R1, ROOT)
    asm.mov(R1, R6)
    asm.mov(R3, 0)
    asm.call(FN_CLONE_REDIRECT)
    asm.map_value(R1, maps.members)
    asm.load(W, R2, R1, FLAGS)
    asm.jump("&", R2, MEMBERS_STACKED, "stacked")
    asm.label("drop")
    asm.mov(R0, TC_DROP)
    asm.exit()
    asm.label("stacked")
    asm.mov32(R1, _told(described))
    asm.store(W, R6, MARK, R1)
    _send(asm, maps, TO_INGRESS)
    asm.embed("each", *_each(maps))
    return asm


def assemble_flood(described: Description, maps: RelayMaps) -> Assembler:
    """At the root."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R1, R6, MARK)
    asm.jump32("==", R1, _told(described), "relayed")
    if described.mode == "generic":
        emit_repair(asm, "whole", "next")
        asm.label("whole")
    asm.store(W, R10, LEFT_OUT, 0)
    asm.map_value(R1, maps.members)
    asm.load(W, R2, R1, FLAGS)
    asm.and_(R2, MEMBERS_TAGGED)
    asm.jump("==", R2, 0, "untagged")
    asm.load(W, R1, R6, VLAN_PRESENT)
    asm.jump("!=", R1, 0, "next")
    asm.label("untagged")
    _address(asm, "next")
    asm.jump("&", R9, 1, "all")
    emit_own(asm, described, maps.slots, maps.displacements, "unknown")
    asm.mov(R9, R3)
    emit_lookup(asm, maps.uplinks, R9, "next")
    asm.mov(R1, R9)
    asm.mov(R2, 0)
    asm.call(FN_REDIRECT)
    asm.exit()
    asm.label("unknown")
    asm.map_value(R1, maps.members)
    asm.load(W, R2, R1, FLAGS)
    asm.jump("&", R2, MEMBERS_UNKNOWN, "all")
    asm.ja("next")
    asm.label("all")
    _clones(asm, maps)
    asm.ja("next")
    asm.label("relayed")
    asm.mov(R1, 0)
    asm.store(W, R6, MARK, R1)
    asm.label("next")
    asm.mov(R0, TC_NEXT)
    asm.exit()
    asm.embed("each", *_each(maps))
    return asm


def _told(described: Description) -> int:
    """The packet's mark on the way from the relay to the flood: it has been cloned already.

    No metadata tells it, as a packet that is cloned is copied, and the copy has none
    (bpf_clone_redirect, pskb_expand_head).
    """
    return halves(described.nonce)[0] | 1


def _address(asm: Assembler, short: str) -> None:
    """R9 = the first 8 bytes of the frame."""
    asm.load(W, R2, R6, DATA)
    asm.load(W, R3, R6, DATA_END)
    asm.mov(R4, R2)
    asm.add(R4, ETHERNET_HEADER)
    asm.jump(">", R4, R3, short)
    asm.load(DW, R9, R2, 0)


def _send(asm: Assembler, maps: RelayMaps, flags: int) -> None:
    """To the root: out of it, or as if it had come in by it."""
    asm.map_value(R2, maps.members)
    asm.load(W, R1, R2, ROOT)
    asm.mov(R2, flags)
    asm.call(FN_REDIRECT)
    asm.exit()


def _clones(asm: Assembler, maps: RelayMaps) -> None:
    """A clone to every device but the one at LEFT_OUT."""
    asm.store(DW, R10, CONTEXT, R6)
    asm.map_value(R2, maps.members)
    asm.load(W, R1, R2, COUNT)
    asm.function(R2, "each")
    asm.mov(R3, R10)
    asm.add(R3, CONTEXT)
    asm.mov(R4, 0)
    asm.call(FN_LOOP)


def _each(maps: RelayMaps) -> tuple[bytes]:
    """The loop's function: the clone for the place R1; R2 is CONTEXT."""
    asm = Assembler()
    asm.mov(R6, R2)
    asm.and_(R1, maps.capacity - 1)
    asm.lsh(R1, 2)
    asm.map_value(R3, maps.members, MEMBERS.size)
    asm.add(R3, R1)
    asm.load(W, R2, R3, 0)
    asm.jump("==", R2, 0, "next")
    asm.load(W, R1, R6, LEFT_OUT - CONTEXT)
    asm.jump("==", R1, R2, "next")
    asm.load(DW, R1, R6, 0)
    asm.mov(R3, 0)
    asm.call(FN_CLONE_REDIRECT)
    asm.label("next")
    asm.mov(R0, 0)
    asm.exit()
    return (asm.assemble(),)
