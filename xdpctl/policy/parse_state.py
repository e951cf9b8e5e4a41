"""What the two parsers share: the hook's context, the ways out, what is stored."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final

from xdpctl.bpf.asm import R1, R3, R10, Assembler, B, Register, W
from xdpctl.policy.record import RECORD
from xdpctl.record import record

VLAN_TYPES: Final = (0x8100, 0x88A8)  # IEEE 802.1Q: customer and service tags
VLAN_TAGS: Final = 2
FRAGMENT, AH = 44, 51
ARP_BYTES: Final = 28  # RFC 826 with the addresses of Ethernet and IPv4
MAX_EXTENSIONS: Final = 8
HIDDEN_MASK: Final = 0xC
"""Tags of 4 bytes, up to three of them."""
L4_BYTES: Final = {6: 20, 17: 8, 132: 12, 1: 8, 58: 8}
"""Protocol → bytes that its header must have: TCP, UDP, SCTP, ICMP, ICMPv6."""


@record
class _Context:
    """Offsets in the program's context (linux/bpf.h), and the helper that copies frame bytes."""

    data: int
    data_end: int
    load_bytes: int
    device: int  # ifindex that the program stands on; of XDP also the port that a frame came in by
    length: int | None  # None: there is a helper instead
    vlan_present: int | None
    vlan_tci: int | None


class Hook(Enum):
    """Where a program runs: struct xdp_md or struct __sk_buff.

    At tc the outermost VLAN tag stands beside the frame (skb_vlan_untag). R7 may count it, and of a
    frame in fragments it may be the linear part alone: the parse asks the context for the length.
    """

    XDP = _Context(
        data=0, data_end=4, load_bytes=189, device=12, length=None, vlan_present=None, vlan_tci=None
    )
    TC = _Context(
        data=76, data_end=80, load_bytes=26, device=40, length=0, vlan_present=20, vlan_tci=24
    )


class Labels:
    """The ways out of a parse, and the way from the direct parser to the careful one."""

    __slots__ = ("bad_ethernet", "bad_ip", "bad_l4", "careful", "end", "whole")

    def __init__(self, asm: Assembler) -> None:
        self.bad_ethernet = asm.unique("bad-ethernet")
        self.bad_ip = asm.unique("bad-ip")
        self.bad_l4 = asm.unique("bad-l4")
        self.careful = asm.unique("careful")
        self.end = asm.unique("parsed")
        self.whole = asm.unique("whole")


@record
class Parse:
    """One parse being emitted: for which hook, how deep, which fields, where it goes.

    hidden  offset on the stack of a u32: bytes of tags that are not shown (emit_parse)
    """

    asm: Assembler
    hook: _Context
    depth: int
    fields: AbstractSet[str]
    to: Labels
    hidden: int | None = None

    def keep(self, field: str, register: Register) -> None:
        """Store a field if some policy reads it."""
        if field in self.fields:
            slot = RECORD[field]
            self.asm.store(slot.size, R10, slot.offset, register)

    def put(self, field: str, number: int) -> None:
        """Store a constant if some policy reads the field; not 0, see record.py."""
        if field in self.fields:
            slot = RECORD[field]
            self.asm.store(slot.size, R10, slot.offset, number)

    def wants(self, *fields: str) -> bool:
        """Whether some policy reads one of the fields."""
        return not self.fields.isdisjoint(fields)

    def load_hidden(self, register: Register) -> None:
        """The bytes of hidden tags; the mask is for the verifier, which bounds the offset."""
        assert self.hidden is not None
        self.asm.load(W, register, R10, self.hidden)
        self.asm.and_(register, HIDDEN_MASK)

    def within(self, base: Register, length: int, other: str) -> None:
        """Go to `other` unless base + length is in the linear part, which R3 ends; clobbers R1."""
        self.asm.mov(R1, base)
        self.asm.add(R1, length)
        self.asm.jump(">", R1, R3, other)

    def copy(self, field: str, base: Register, offset: int) -> None:
        """Copy a number of network byte order into the record, if some policy reads it.

        Clobbers R1.
        """
        if field not in self.fields:
            return
        size = RECORD[field].size
        self.asm.load(size, R1, base, offset)
        if size != B:
            self.asm.big_endian(R1, size.bytes * 8)
        self.keep(field, R1)
