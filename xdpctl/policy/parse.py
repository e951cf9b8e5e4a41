"""The parse: from a frame to the header record, once for all policies that look at it.

Three parsers in a row. The plain one takes TCP and UDP over IPv4 without tags and options. The
direct one reads the packet where it lies, too, and takes what nearly every other frame is: up to
two VLAN tags, ARP, IPv4, IPv6 without extension headers, TCP, UDP, SCTP, ICMP. What it cannot see,
because the bytes are not in the linear part (frags, GRO, page-pool drivers), the frame ends too
early, or extension headers stand between, is parsed again from the start by the careful one, which
copies each header with bpf_xdp_load_bytes or bpf_skb_load_bytes. So nothing is ever pulled or
written, and only the careful parser decides that something is missing.

Registers: R6 context, R7 frame length, R8 and R9 untouched; R0 to R5 clobbered. No packet pointer
is alive at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from xdpctl.bpf.asm import DW, R1, R6, R7, R10, Assembler, B, W
from xdpctl.policy.fields import FLOW
from xdpctl.policy.flow import emit_flow
from xdpctl.policy.parse_careful import emit_careful
from xdpctl.policy.parse_direct import emit_direct
from xdpctl.policy.parse_fields import emit_length
from xdpctl.policy.parse_plain import emit_plain
from xdpctl.policy.parse_state import Hook, Labels, Parse
from xdpctl.policy.record import ABSENT_L4, ABSENT_PROTOCOL, NO_PRIORITY, NO_VLAN, RECORD

__all__ = ["Hook", "emit_parse", "emit_parse_carefully"]

_NOTHING = {
    "l4_proto": ABSENT_PROTOCOL,
    "l4": ABSENT_L4,
    "vlan.id": NO_VLAN,
    "vlan.pcp": NO_PRIORITY,
    "vlan.inner_id": NO_VLAN,
}


PortOf = Callable[[Assembler], None]
"""Emits R1 = the ifindex of the port that the frame came in by; may clobber R0 to R5."""


def emit_parse(
    asm: Assembler,
    hook: Hook,
    depth: int,
    fields: frozenset[str] | None = None,
    port_of: PortOf | None = None,
    hidden: int | None = None,
) -> None:
    """Parse the frame down to layer `depth` (0 to 3) into the record, storing only `fields`.

    Goes on behind itself, whatever the frame is. `fields` None means all. Without `port_of` XDP
    knows the port, and tc none. `hidden` is where on the stack (offset, u32) it says how many bytes
    of VLAN tags the frame no longer has where the policy stands: those of the VLANs on the way.
    """
    parse = Parse(asm, hook.value, depth, RECORD.keys() if fields is None else fields, Labels(asm),
                  hidden)  # fmt: skip
    emit_length(parse)
    if depth == 0:
        asm.store(B, R10, RECORD["parsed"].offset, 3)
        _emit_port(parse, hook, port_of)
        return
    if depth > 1:
        _emit_plain(parse)
    _emit_nothing(parse)
    emit_direct(parse)
    asm.label(parse.to.careful)
    emit_careful(parse)
    _emit_ends(parse)
    _emit_port(parse, hook, port_of)


def emit_parse_carefully(
    asm: Assembler, hook: Hook, depth: int, fields: frozenset[str] | None = None
) -> None:
    """The same without the direct parser: slower, and all that it needs is tested by it."""
    if depth == 0:
        emit_parse(asm, hook, depth, fields)
        return
    parse = Parse(asm, hook.value, depth, RECORD.keys() if fields is None else fields, Labels(asm))
    emit_length(parse)
    _emit_nothing(parse)
    emit_careful(parse)
    _emit_ends(parse)
    _emit_port(parse, hook, None)


def _emit_port(parse: Parse, hook: Hook, port_of: PortOf | None) -> None:
    if not parse.wants("port"):
        return
    if port_of is not None:
        port_of(parse.asm)
    elif hook is Hook.XDP:
        parse.asm.load(W, R1, R6, hook.value.device)
    else:
        parse.asm.mov(R1, 0)
    parse.keep("port", R1)


def _emit_plain(parse: Parse) -> None:
    other = parse.asm.unique("not-plain")
    emit_plain(parse, other, lambda written: _emit_nothing(parse, written))
    parse.asm.label(other)


def _emit_nothing(parse: Parse, written: AbstractSet[str] = frozenset()) -> None:
    """Say that no protocol is there, and give every field but those that are `written` some value:
    a rule that reads it behind its guard is, to the verifier, a rule that might read it always.
    """
    asm = parse.asm
    known = {"parsed", "length", "port", *written}
    found = {field: slot for field, slot in RECORD.items() if field in parse.fields - known}
    if any(slot.size is DW for slot in found.values()):
        # Minus the frame's length: a number that the verifier knows nothing of, unlike a constant.
        asm.mov(R1, R7)
        asm.neg(R1)
    for field, slot in found.items():
        number = _NOTHING.get(field, 0x7F)
        asm.store(slot.size, R10, slot.offset, R1 if slot.size is DW else number)


def _emit_ends(parse: Parse) -> None:
    """Store how deep the frame parsed. The jumps to each are not known to exist: see is_used."""
    asm, to = parse.asm, parse.to
    ends = [(to.bad_ethernet, 0), (to.bad_ip, 1), (to.bad_l4, 2), (to.whole, 3)]
    for label, parsed in ends:
        if asm.is_used(label):
            asm.label(label)
            if label == to.whole and parse.depth == 3 and FLOW in parse.fields:
                emit_flow(asm)
            asm.store(B, R10, RECORD["parsed"].offset, parsed)
            if parsed < 3:
                asm.ja(to.end)
    asm.label(to.end)
