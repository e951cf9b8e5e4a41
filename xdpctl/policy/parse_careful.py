"""The careful parser: copies each header to the stack by a helper, wherever its bytes are.

The state is on the stack (record.py): CURSOR the offset into the frame, PROTOCOL the header that
stands there, CHAINED the number of extension headers so far, BUFFER the copied header. A copy that
fails means that the frame ends before the header does.
"""

from __future__ import annotations

from xdpctl.bpf.asm import R0, R1, R2, R3, R4, R5, R6, R10, B, H, Register, W
from xdpctl.policy.fields import (
    CHAIN_BITS,
    ETHERTYPE_ARP,
    ETHERTYPE_IP4,
    ETHERTYPE_IP6,
    EXTENSIONS,
    ICMP,
    ICMPV6,
    L4_ARP,
)
from xdpctl.policy.parse_fields import (
    FN_XDP_GET_BUFF_LEN,
    emit_32_from_stack,
    emit_48_from_stack,
    emit_ip4_fields,
    emit_ip6_fields,
    emit_is_arp_of_ip4,
    emit_tag,
    emit_tag_beside,
)
from xdpctl.policy.parse_state import (
    AH,
    ARP_BYTES,
    FRAGMENT,
    L4_BYTES,
    MAX_EXTENSIONS,
    VLAN_TAGS,
    VLAN_TYPES,
    Parse,
)
from xdpctl.policy.record import BUFFER, CHAIN_PRESENT, CHAINED, CURSOR, PROTOCOL, RECORD
from xdpctl.topology.key_names import FIRST_FRAGMENT, LATER_FRAGMENT

_ETHERNET = 14


def emit_careful(parse: Parse) -> None:
    """Parse by copies from the start of the frame; clobbers R0 to R5."""
    asm, to = parse.asm, parse.to
    _ethernet(parse)
    parse.keep("ether.type", R4)
    if parse.depth == 1:
        asm.ja(to.whole)
        return
    ip6, l4 = asm.unique("ip6"), asm.unique("l4")
    other = asm.unique("other") if parse.depth == 3 else to.whole
    asm.jump32("==", R4, ETHERTYPE_IP6, ip6)
    asm.jump32("!=", R4, ETHERTYPE_IP4, other)
    _ip4(parse, l4)
    asm.label(ip6)
    _ip6(parse)
    if parse.depth == 3:
        asm.label(l4)
        _l4(parse)
        asm.label(other)
        _arp(parse)


def _fetch(parse: Parse, length: int | Register, bad: str) -> None:
    """Copy `length` bytes at the cursor to the buffer; clobbers R0 to R5."""
    asm = parse.asm
    asm.mov(R1, R6)
    asm.load(CURSOR.size, R2, R10, CURSOR.offset)
    asm.mov(R3, R10)
    asm.add(R3, BUFFER)
    if length is not R4:
        asm.mov(R4, length)
    asm.call(parse.hook.load_bytes)
    asm.jump32("!=", R0, 0, bad)


def _advance(parse: Parse, distance: int | Register) -> None:
    """Move the cursor on; it stays in R2."""
    asm = parse.asm
    asm.load(CURSOR.size, R2, R10, CURSOR.offset)
    asm.add(R2, distance)
    asm.store(CURSOR.size, R10, CURSOR.offset, R2)


def _advance_within(parse: Parse, distance: Register, bad: str) -> None:
    """Move the cursor on over a header whose end must be in the frame; clobbers R0 to R5."""
    asm = parse.asm
    _advance(parse, distance)
    if parse.hook.length is not None:
        asm.load(W, R0, R6, parse.hook.length)
    else:
        asm.mov(R1, R6)
        asm.call(FN_XDP_GET_BUFF_LEN)
        asm.load(CURSOR.size, R2, R10, CURSOR.offset)
    asm.jump(">", R2, R0, bad)


def _ethernet(parse: Parse) -> None:
    """R4 becomes the type behind the tags, the cursor stands behind it."""
    asm, bad = parse.asm, parse.to.bad_ethernet
    typed = asm.unique("typed")
    asm.store(CURSOR.size, R10, CURSOR.offset, 0)
    _fetch(parse, _ETHERNET, bad)
    parse.copy("ether.daddr", R10, BUFFER)
    emit_48_from_stack(parse, "ether.saddr", BUFFER + 6)
    emit_tag_beside(parse)
    if parse.hidden is not None:
        parse.load_hidden(R1)
        asm.store(CURSOR.size, R10, CURSOR.offset, R1)
        _fetch(parse, _ETHERNET, bad)
    _advance(parse, _ETHERNET)
    asm.load(H, R4, R10, BUFFER + 12)
    asm.big_endian(R4, 16)
    for tag in range(VLAN_TAGS):
        tagged = asm.unique("tagged")
        asm.jump32("==", R4, VLAN_TYPES[0], tagged)
        asm.jump32("!=", R4, VLAN_TYPES[1], typed)
        asm.label(tagged)
        if tag == VLAN_TAGS - 1 and parse.hook.vlan_present is not None:
            asm.load(W, R0, R6, parse.hook.vlan_present)
            asm.jump32("!=", R0, 0, typed)
        _fetch(parse, 4, bad)
        emit_tag(parse, tag, R10, BUFFER)
        _advance(parse, 4)
        asm.load(H, R4, R10, BUFFER + 2)
        asm.big_endian(R4, 16)
    asm.label(typed)


def _ip4(parse: Parse, l4: str) -> None:
    """RFC 791; leaves the cursor behind the options."""
    asm, to = parse.asm, parse.to
    _fetch(parse, 20, to.bad_ip)
    asm.load(B, R4, R10, BUFFER)
    asm.mov32(R1, R4)
    asm.rsh32(R1, 4)
    asm.jump32("!=", R1, 4, to.bad_ip)
    asm.and32(R4, 0x0F)
    asm.lsh32(R4, 2)
    asm.jump32("<", R4, 20, to.bad_ip)
    _advance_within(parse, R4, to.bad_ip)
    emit_ip4_fields(parse, R10, BUFFER)
    asm.load(B, R5, R10, BUFFER + 9)
    parse.keep("l4_proto", R5)
    if parse.depth < 3:
        asm.ja(to.whole)
        return
    asm.load(H, R1, R10, BUFFER + 6)
    asm.big_endian(R1, 16)
    asm.jump32("&", R1, 0x1FFF, to.whole)
    asm.jump32("==", R5, ICMPV6, to.whole)
    asm.store(PROTOCOL.size, R10, PROTOCOL.offset, R5)
    asm.ja(l4)


def _ip6(parse: Parse) -> None:
    """RFC 8200: the fixed header, then the extension headers; leaves the cursor behind them."""
    asm, to = parse.asm, parse.to
    _fetch(parse, 8, to.bad_ip)
    asm.load(B, R1, R10, BUFFER)
    asm.rsh32(R1, 4)
    asm.jump32("!=", R1, 6, to.bad_ip)
    emit_ip6_fields(parse, R10, BUFFER)
    asm.load(B, R5, R10, BUFFER + 6)
    asm.store(PROTOCOL.size, R10, PROTOCOL.offset, R5)
    _advance(parse, 8)
    _fetch(parse, 32, to.bad_ip)
    for number, half in enumerate(("saddr.high", "saddr.low", "daddr.high", "daddr.low")):
        parse.copy(f"ip6.{half}", R10, BUFFER + 8 * number)
    _advance(parse, 32)
    asm.load(PROTOCOL.size, R5, R10, PROTOCOL.offset)
    _extensions(parse)
    parse.keep("l4_proto", R5)
    if parse.depth < 3:
        asm.ja(to.whole)
        return
    asm.jump32("==", R5, ICMP, to.whole)
    asm.store(PROTOCOL.size, R10, PROTOCOL.offset, R5)


def _extensions(parse: Parse) -> None:
    """Walk the chain from the header R5 on; R5 becomes the protocol behind it.

    Every extension header has at least 8 bytes; its own length counts units of 8 bytes without
    the first 8 (RFC 8200 4.3), that of AH units of 4 without the first 8 (RFC 4302 2.2).
    """
    asm, to = parse.asm, parse.to
    header, found, end, sized = (asm.unique(hint) for hint in ("header", "found", "chain", "sized"))
    parse.put("ip6.chain", CHAIN_PRESENT)
    asm.mov(R1, 0)  # in a register: the verifier follows constants stored by it since ever
    asm.store(CHAINED.size, R10, CHAINED.offset, R1)
    asm.label(header)
    for extension in EXTENSIONS:
        if parse.wants("ip6.chain"):
            asm.mov(R0, CHAIN_BITS[extension])
        asm.jump32("==", R5, extension, found)
    asm.ja(end)
    asm.label(found)
    if parse.wants("ip6.chain"):
        chain = RECORD["ip6.chain"]
        asm.load(chain.size, R1, R10, chain.offset)
        asm.or32(R1, R0)
        asm.store(chain.size, R10, chain.offset, R1)
    asm.load(CHAINED.size, R1, R10, CHAINED.offset)
    asm.jump("==", R1, MAX_EXTENSIONS, to.bad_ip)
    asm.add(R1, 1)
    asm.store(CHAINED.size, R10, CHAINED.offset, R1)
    asm.store(PROTOCOL.size, R10, PROTOCOL.offset, R5)
    _fetch(parse, 8, to.bad_ip)
    asm.load(PROTOCOL.size, R1, R10, PROTOCOL.offset)
    asm.load(B, R5, R10, BUFFER)
    asm.load(B, R4, R10, BUFFER + 1)
    _extension_length(parse, sized)
    asm.label(sized)
    asm.store(PROTOCOL.size, R10, PROTOCOL.offset, R5)
    _advance_within(parse, R4, to.bad_ip)
    asm.load(PROTOCOL.size, R5, R10, PROTOCOL.offset)
    asm.ja(header)
    asm.label(end)


def _extension_length(parse: Parse, sized: str) -> None:
    """Of the header R1 with the length field R4 to `sized`, R4 the bytes; later fragments end."""
    asm, to = parse.asm, parse.to
    ah, fragment, later = asm.unique("ah"), asm.unique("fragment"), asm.unique("later")
    asm.jump32("==", R1, FRAGMENT, fragment)
    asm.jump32("==", R1, AH, ah)
    asm.add(R4, 1)
    asm.lsh(R4, 3)
    asm.ja(sized)
    asm.label(ah)
    asm.add(R4, 2)
    asm.lsh(R4, 2)
    asm.ja(sized)
    asm.label(fragment)
    asm.mov(R4, 8)
    asm.load(H, R1, R10, BUFFER + 2)
    asm.big_endian(R1, 16)
    asm.jump32("&", R1, 0xFFF8, later)
    if parse.wants("frag"):
        asm.and32(R1, 1)  # more fragments follow; else it is the whole packet (RFC 6946)
        asm.jump32("==", R1, 0, sized)
        parse.put("frag", FIRST_FRAGMENT)
    asm.ja(sized)
    asm.label(later)
    parse.put("frag", LATER_FRAGMENT)
    parse.keep("l4_proto", R5)
    asm.ja(to.whole)


def _l4(parse: Parse) -> None:
    """The header at the cursor of protocol PROTOCOL."""
    asm, to = parse.asm, parse.to
    copy, messages = asm.unique("copy"), asm.unique("messages")
    asm.load(PROTOCOL.size, R5, R10, PROTOCOL.offset)
    for protocol, length in L4_BYTES.items():
        asm.mov(R4, length)
        asm.jump32("==", R5, protocol, copy)
    asm.ja(to.whole)
    asm.label(copy)
    _fetch(parse, R4, to.bad_l4)
    asm.load(PROTOCOL.size, R5, R10, PROTOCOL.offset)
    parse.keep("l4", R5)
    for protocol in (ICMP, ICMPV6):
        asm.jump32("==", R5, protocol, messages)
    parse.copy("sport", R10, BUFFER)
    parse.copy("dport", R10, BUFFER + 2)
    parse.copy("tcp.flags", R10, BUFFER + 13)  # of others nobody reads them
    asm.ja(to.whole)
    asm.label(messages)
    parse.copy("icmp.type", R10, BUFFER)
    parse.copy("icmp.code", R10, BUFFER + 1)
    asm.ja(to.whole)


def _arp(parse: Parse) -> None:
    """RFC 826; the type is in R4."""
    asm, to = parse.asm, parse.to
    asm.jump32("!=", R4, ETHERTYPE_ARP, to.whole)
    _fetch(parse, 8, to.bad_l4)
    emit_is_arp_of_ip4(parse, R10, BUFFER, to.whole)
    _fetch(parse, ARP_BYTES, to.bad_l4)
    parse.put("l4", L4_ARP)
    parse.copy("sport", R10, BUFFER + 6)
    emit_32_from_stack(parse, "ip4.saddr", BUFFER + 14)
    parse.copy("ip4.daddr", R10, BUFFER + 24)
    asm.ja(to.whole)
