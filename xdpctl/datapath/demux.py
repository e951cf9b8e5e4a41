"""From a frame to the device that it is for: VLAN tags, then the MAC address.

Flat: all devices stand on the root itself, and the address alone decides. Deep: there are VLANs
and bridges between. Then a frame comes to *hubs* on its way, the root first, and each key is of a
hub: a tag of the root's leads to a VLAN device, which is a hub itself. A tag that no VLAN device
claims stays where it is: the kernel asks for VLANs first, then for macvlans (__netif_receive_skb),
which take tagged frames as well.

What a deep pipeline remembers stands on the stack, between the header record with what the rules
need first, and what they need for a while (policy/record.py).
"""

from __future__ import annotations

from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R4, R6, R7, R8, R9, R10, Assembler, H, W
from xdpctl.datapath.access import emit_place
from xdpctl.datapath.description import Description
from xdpctl.datapath.emit import IFINDEX
from xdpctl.datapath.hashing import START_SHIFT, Shape
from xdpctl.datapath.layout import (
    ADDRESS_BITS,
    DEEP_SLOT,
    DISPLACEMENT,
    HUB_SHIFT,
    SERVICE_TAG,
    SLOT,
    TAG,
)
from xdpctl.policy.parse_state import VLAN_TYPES

HIDDEN = -148
"""Stack: bytes of tags that the frame no longer has at the hub (u32). Not at the begin of a slot of
8 bytes: the verifier would walk everything once for each number (policy/record.py)."""
ADDRESS_CELL, HUB_CELL = -160, -168
"""Stack: the MAC, and the hub where it stands in a key (u64 each)."""
LOWER = (-172, -176, -180)
"""Stack: ifindexes of the devices below whose policies the frame has passed (u32): VLAN, VLAN in
it, bridge."""
PENDING, BLOCK, POLICY = -184, -188, -192
"""Stack: ifindex of the device whose policy the frame is in; block and policy of the last one."""

_TAG_BYTES = 4
_TYPE = 12
_DATA, _DATA_END = 0, 4
_BLOCK, _IFINDEX, _POLICY, _HUB, _BRIDGE, _BRIDGE_BLOCK, _BRIDGE_IFINDEX = 8, 12, 16, 18, 20, 24, 28
"""Offsets in DEEP_SLOT."""


def emit_flat(
    asm: Assembler, described: Description, slots_fd: int, displacements_fd: int, bare: str
) -> None:
    """R9 = index of the device's policy, R8 = its block, its ifindex on the stack.

    R9 are the first 8 bytes of the frame; goes to `flooded`, `unknown`, or `bare` for a device
    without a policy.
    """
    asm.jump("&", R9, 1, "flooded")  # the group bit: multicast and broadcast
    _emit_own(asm, described.shape, slots_fd, displacements_fd, "unknown", SLOT.size)
    asm.label("found")
    asm.load(W, R8, R0, 8)
    asm.load(W, R2, R0, SLOT.size - 4)
    asm.store(W, R10, IFINDEX, R2)
    asm.mov(R9, R1)
    asm.rsh(R9, ADDRESS_BITS)
    asm.jump("==", R9, 0, bare)


def emit_own(
    asm: Assembler, described: Description, slots_fd: int, displacements_fd: int, unknown: str
) -> None:
    """R8 = block, R9 = policy and R3 = ifindex of the device on the root itself whose address R9,
    the first 8 bytes of the frame, begins with. Goes to `unknown` where there is none.
    """
    size = DEEP_SLOT.size if described.deep else SLOT.size
    _emit_own(asm, described.shape, slots_fd, displacements_fd, unknown, size)
    asm.load(W, R8, R0, _BLOCK)
    asm.load(W, R3, R0, _IFINDEX)
    if described.deep:
        asm.load(H, R9, R0, _POLICY)
    else:
        asm.mov(R9, R1)
        asm.rsh(R9, ADDRESS_BITS)


def _emit_own(
    asm: Assembler, shape: Shape, slots_fd: int, displacements_fd: int, unknown: str, size: int
) -> None:
    """R0 = the slot of the address at the root, R1 = its first word."""
    asm.big_endian(R9, 64)
    asm.rsh(R9, 64 - ADDRESS_BITS)
    asm.mov(R8, R9)
    asm.load_immediate(R2, shape.multiplier)
    asm.mul(R8, R2)
    _emit_slot(asm, shape, slots_fd, displacements_fd, size)
    asm.load(DW, R1, R0, 0)
    asm.mov(R2, R1)
    if size == SLOT.size:  # the policy stands above the address
        asm.lsh(R2, 64 - ADDRESS_BITS)
        asm.rsh(R2, 64 - ADDRESS_BITS)
    asm.jump("!=", R2, R9, unknown)


def _emit_slot(
    asm: Assembler, shape: Shape, slots_fd: int, displacements_fd: int, size: int
) -> None:
    """R0 = the slot of the product R8."""
    asm.mov(R3, R8)
    asm.rsh(R3, 64 - shape.bucket_bits)
    emit_place(asm, displacements_fd, R3, DISPLACEMENT.size)
    asm.load(H, R0, R0, 0)
    asm.rsh(R8, START_SHIFT)
    asm.add(R8, R0)
    asm.and_(R8, shape.slots - 1)
    emit_place(asm, slots_fd, R8, size)


class Deep:
    """The steps of a deep pipeline, one after another."""

    def __init__(
        self, asm: Assembler, described: Description, slots_fd: int, displacements_fd: int
    ) -> None:
        self._asm = asm
        self._shape = described.shape
        self._slots, self._displacements = slots_fd, displacements_fd

    def emit_start(self) -> None:
        """Take the address from R9, the first 8 bytes of the frame; the hub is the root."""
        asm = self._asm
        for cell in (HIDDEN, *LOWER):
            asm.store(W, R10, cell, 0)
        asm.jump("&", R9, 1, "flooded")
        asm.big_endian(R9, 64)
        asm.rsh(R9, 64 - ADDRESS_BITS)
        asm.store(DW, R10, ADDRESS_CELL, R9)
        asm.store(DW, R10, HUB_CELL, 0)

    def emit_tag(self, level: int, missing: str) -> None:
        """Where a VLAN device claims the tag of this level, it is the hub, R8 its block, R9 its
        policy (0: none); goes to `missing` where none does, or for a priority tag.
        """
        asm = self._asm
        typed = asm.unique("typed")
        offset = _TYPE + _TAG_BYTES * level
        asm.load(W, R2, R6, _DATA)
        asm.load(W, R3, R6, _DATA_END)
        asm.mov(R4, R2)
        asm.add(R4, offset + _TAG_BYTES + 2)
        asm.jump(">", R4, R3, missing)
        asm.load(H, R1, R2, offset)
        asm.big_endian(R1, 16)
        asm.load_immediate(R9, TAG)
        asm.jump("==", R1, VLAN_TYPES[0], typed)
        asm.jump("!=", R1, VLAN_TYPES[1], missing)
        asm.or_(R9, SERVICE_TAG)
        asm.label(typed)
        asm.load(H, R1, R2, offset + 2)
        asm.big_endian(R1, 16)
        asm.and_(R1, 0xFFF)
        asm.jump("==", R1, 0, missing)
        asm.or_(R9, R1)
        self._emit_look_up(missing)
        asm.load(H, R1, R0, _HUB)
        asm.lsh(R1, HUB_SHIFT)
        asm.store(DW, R10, HUB_CELL, R1)
        asm.store(W, R10, HIDDEN, _TAG_BYTES * (level + 1))
        asm.sub(R7, _TAG_BYTES)
        asm.load(W, R8, R0, _BLOCK)
        asm.load(W, R1, R0, _IFINDEX)
        asm.store(W, R10, PENDING, R1)
        asm.load(H, R9, R0, _POLICY)

    def emit_address(self) -> None:
        """Find the device at the hub; R8 and R9 become the block and the policy of the bridge that
        it stands on. Goes to `unknown` where there is none; `found`: R0 is the slot.
        """
        asm = self._asm
        asm.load(DW, R9, R10, ADDRESS_CELL)
        self._emit_look_up("unknown")
        asm.label("found")
        asm.load(W, R1, R0, _BLOCK)
        asm.store(W, R10, BLOCK, R1)
        asm.load(W, R1, R0, _IFINDEX)
        asm.store(W, R10, IFINDEX, R1)
        asm.load(H, R1, R0, _POLICY)
        asm.store(W, R10, POLICY, R1)
        asm.load(W, R8, R0, _BRIDGE_BLOCK)
        asm.load(W, R1, R0, _BRIDGE_IFINDEX)
        asm.store(W, R10, PENDING, R1)
        asm.load(H, R9, R0, _BRIDGE)

    def emit_device(self, none: str) -> None:
        """R8 and R9 = the block and the policy of the device itself; goes to `none` without one."""
        asm = self._asm
        asm.load(W, R8, R10, BLOCK)
        asm.load(W, R9, R10, POLICY)
        asm.jump("==", R9, 0, none)

    def emit_passed(self, level: int) -> None:
        """Remember that the frame has passed the policy that it was in."""
        asm = self._asm
        asm.load(W, R1, R10, PENDING)
        asm.store(W, R10, LOWER[level], R1)

    def _emit_look_up(self, missing: str) -> None:
        """R0 = the slot of the key R9 at the hub; R9 becomes the whole key."""
        asm, shape = self._asm, self._shape
        asm.mov(R8, R9)
        asm.load_immediate(R2, shape.multiplier)
        asm.mul(R8, R2)
        asm.load(DW, R1, R10, HUB_CELL)
        asm.or_(R9, R1)
        asm.rsh(R1, HUB_SHIFT)
        asm.load_immediate(R2, shape.hub_multiplier)
        asm.mul(R1, R2)
        asm.add(R8, R1)
        _emit_slot(asm, shape, self._slots, self._displacements, DEEP_SLOT.size)
        asm.load(DW, R1, R0, 0)
        asm.jump("!=", R1, R9, missing)


def emit_any_passed(asm: Assembler, none: str) -> None:
    """Go to `none` where no device's policy has passed the frame."""
    some = asm.unique("some")
    for cell in LOWER:
        asm.load(W, R1, R10, cell)
        asm.jump("!=", R1, 0, some)
    asm.ja(none)
    asm.label(some)
