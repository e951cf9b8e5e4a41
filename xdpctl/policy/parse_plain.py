"""The plain parser: reads what most frames are, before any other parser has a look.

That is IPv4 with a header of 20 bytes right behind the Ethernet header, and TCP or UDP in it: all
stands at constant offsets, so a test of where the frame ends and one for each thing that could be
otherwise suffice. Any other frame, and one that is not whole, is left to the parser behind this
one, which starts anew: nothing has been stored by then that it does not store itself.

R2 is the Ethernet header, R3 the end of the linear part, R5 the protocol; R0 and R1 are scratch.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

from xdpctl.bpf.asm import R0, R1, R2, R3, R5, R6, B, H, W
from xdpctl.policy.fields import ETHERTYPE_IP4, TCP, UDP
from xdpctl.policy.parse_fields import emit_ip4_fields
from xdpctl.policy.parse_state import L4_BYTES, Parse

_IP, _L4 = 14, 34
_HEADER: Final = 0x45  # RFC 791: version 4, five words
_LATER: Final = socket.htons(0x1FFF)
_BESIDE: Final = frozenset({"vlan.id", "vlan.pcp"})

WRITTEN: Final[AbstractSet[str]] = frozenset(
    {"ether.daddr", "ether.saddr", "ether.type", "ip4.saddr", "ip4.daddr", "ttl", "dscp", "frag",
     "l4_proto"}
)  # fmt: skip
"""What it stores of every frame that it takes."""
WRITTEN_L4: Final[AbstractSet[str]] = WRITTEN | {"l4", "sport", "dport"}
"""The same where the parse is down to the ports."""


def emit_plain(parse: Parse, other: str, emit_nothing: Callable[[AbstractSet[str]], None]) -> None:
    """Parse by packet pointers; goes to `other` with a frame that is not plain.

    `emit_nothing` fills in all fields but those that are written here; it may clobber R1.
    """
    asm = parse.asm
    asm.load(W, R2, R6, parse.hook.data)
    asm.load(W, R3, R6, parse.hook.data_end)
    parse.within(R2, _L4 + (L4_BYTES[UDP] if parse.depth == 3 else 0), other)
    _without_tags(parse, other)
    asm.load(H, R1, R2, 12)
    asm.jump32("!=", R1, socket.htons(ETHERTYPE_IP4), other)
    asm.load(B, R1, R2, _IP)
    asm.jump32("!=", R1, _HEADER, other)
    asm.load(B, R5, R2, _IP + 9)
    emit_nothing(WRITTEN_L4 if parse.depth == 3 else WRITTEN)
    if parse.depth == 3:
        _with_ports(parse, other)
    parse.put("ether.type", ETHERTYPE_IP4)
    parse.copy("ether.daddr", R2, 0)
    parse.copy("ether.saddr", R2, 6)
    emit_ip4_fields(parse, R2, _IP)
    parse.keep("l4_proto", R5)
    asm.ja(parse.to.whole)


def _without_tags(parse: Parse, other: str) -> None:
    """A frame with a tag beside it is not plain; one within, hidden or not, is seen by the type."""
    asm, beside = parse.asm, parse.hook.vlan_present
    if beside is not None and parse.wants(*_BESIDE):
        asm.load(W, R0, R6, beside)
        asm.jump32("!=", R0, 0, other)


def _with_ports(parse: Parse, other: str) -> None:
    """The L4 header, unless this is a later fragment."""
    asm, udp = parse.asm, parse.asm.unique("udp")
    asm.load(H, R1, R2, _IP + 6)
    asm.jump32("&", R1, _LATER, other)
    asm.jump32("==", R5, UDP, udp)
    asm.jump32("!=", R5, TCP, other)
    parse.within(R2, _L4 + L4_BYTES[TCP], other)
    parse.copy("tcp.flags", R2, _L4 + 13)
    asm.label(udp)
    parse.keep("l4", R5)
    parse.copy("sport", R2, _L4)
    parse.copy("dport", R2, _L4 + 2)
