"""The direct parser: reads the common frame where it lies, by packet pointers.

R2 is the Ethernet header (moved on by four for each VLAN tag, so that the type is always at 12),
R3 the end of the linear part, R4 the ether type, then the L4 header, R5 the IP protocol; R0 and R1
are scratch. Each check of an end that fails leaves for the careful parser.
"""

from __future__ import annotations

from xdpctl.bpf.asm import R0, R1, R2, R3, R4, R5, R6, B, H, Register, W
from xdpctl.policy.fields import (
    ETHERTYPE_ARP,
    ETHERTYPE_IP4,
    ETHERTYPE_IP6,
    EXTENSIONS,
    ICMP,
    ICMPV6,
    L4_ARP,
    SCTP,
    TCP,
    UDP,
)
from xdpctl.policy.parse_fields import (
    emit_ip4_fields,
    emit_ip6_fields,
    emit_is_arp_of_ip4,
    emit_tag,
    emit_tag_beside,
)
from xdpctl.policy.parse_state import ARP_BYTES, L4_BYTES, VLAN_TAGS, VLAN_TYPES, Parse
from xdpctl.policy.record import CHAIN_PRESENT

_ETHERNET = 14


def emit_direct(parse: Parse) -> None:
    """Parse by packet pointers; clobbers R0 to R5."""
    asm, to = parse.asm, parse.to
    asm.load(W, R2, R6, parse.hook.data)
    asm.load(W, R3, R6, parse.hook.data_end)
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


def _within(parse: Parse, base: Register, length: int) -> None:
    """Leave for the careful parser unless base + length is in the linear part."""
    parse.within(base, length, parse.to.careful)


def _ethernet(parse: Parse) -> None:
    """R4 becomes the type behind the tags, R2 such that it stands at R2 + 12."""
    asm = parse.asm
    typed = asm.unique("typed")
    _within(parse, R2, _ETHERNET)
    parse.copy("ether.daddr", R2, 0)
    parse.copy("ether.saddr", R2, 6)
    emit_tag_beside(parse)
    if parse.hidden is not None:
        parse.load_hidden(R1)
        asm.add(R2, R1)
        _within(parse, R2, _ETHERNET)
    asm.load(H, R4, R2, 12)
    asm.big_endian(R4, 16)
    for tag in range(VLAN_TAGS):
        tagged = asm.unique("tagged")
        asm.jump32("==", R4, VLAN_TYPES[0], tagged)
        asm.jump32("!=", R4, VLAN_TYPES[1], typed)
        asm.label(tagged)
        if tag == VLAN_TAGS - 1 and parse.hook.vlan_present is not None:
            asm.load(W, R0, R6, parse.hook.vlan_present)  # the tag beside the frame is one, too
            asm.jump32("!=", R0, 0, typed)
        asm.add(R2, 4)
        _within(parse, R2, _ETHERNET)
        emit_tag(parse, tag, R2, 10)
        asm.load(H, R4, R2, 12)
        asm.big_endian(R4, 16)
    asm.label(typed)


def _ip4(parse: Parse, l4: str) -> None:
    """RFC 791; R4 becomes the end of the header, options included, R5 the protocol."""
    asm, to = parse.asm, parse.to
    _within(parse, R2, _ETHERNET + 20)
    asm.load(B, R0, R2, 14)
    asm.mov32(R1, R0)
    asm.rsh32(R1, 4)
    asm.jump32("!=", R1, 4, to.bad_ip)
    asm.and32(R0, 0x0F)
    asm.lsh32(R0, 2)
    asm.jump32("<", R0, 20, to.bad_ip)
    asm.mov(R4, R2)
    asm.add(R4, _ETHERNET)
    asm.add(R4, R0)
    asm.jump(">", R4, R3, to.careful)
    emit_ip4_fields(parse, R2, _ETHERNET)
    asm.load(B, R5, R2, 23)
    parse.keep("l4_proto", R5)
    if parse.depth < 3:
        asm.ja(to.whole)
        return
    asm.load(H, R1, R2, 20)
    asm.big_endian(R1, 16)
    asm.jump32("&", R1, 0x1FFF, to.whole)  # a later fragment has no L4 header
    asm.jump32("==", R5, ICMPV6, to.whole)
    asm.ja(l4)


def _ip6(parse: Parse) -> None:
    """RFC 8200; R4 becomes the end of the header, R5 the protocol."""
    asm, to = parse.asm, parse.to
    _within(parse, R2, _ETHERNET + 40)
    asm.load(B, R1, R2, 14)
    asm.rsh32(R1, 4)
    asm.jump32("!=", R1, 6, to.bad_ip)
    asm.load(B, R5, R2, 20)
    for extension in EXTENSIONS:
        asm.jump32("==", R5, extension, to.careful)
    emit_ip6_fields(parse, R2, _ETHERNET)
    parse.put("ip6.chain", CHAIN_PRESENT)
    for number, half in enumerate(("saddr.high", "saddr.low", "daddr.high", "daddr.low")):
        parse.copy(f"ip6.{half}", R2, 22 + 8 * number)
    parse.keep("l4_proto", R5)
    if parse.depth < 3:
        asm.ja(to.whole)
        return
    asm.jump32("==", R5, ICMP, to.whole)
    asm.mov(R4, R2)
    asm.add(R4, _ETHERNET + 40)


def _l4(parse: Parse) -> None:
    """The header at R4 of protocol R5."""
    asm, to = parse.asm, parse.to
    ports, messages = asm.unique("ports"), asm.unique("messages")
    bodies = {TCP: ports, UDP: ports, SCTP: ports, ICMP: messages, ICMPV6: messages}
    for protocol, body in bodies.items():
        other = asm.unique("other")
        asm.jump32("!=", R5, protocol, other)
        _within(parse, R4, L4_BYTES[protocol])
        if protocol == TCP:
            parse.copy("tcp.flags", R4, 13)
        asm.ja(body)
        asm.label(other)
    asm.ja(to.whole)
    asm.label(ports)
    parse.keep("l4", R5)
    parse.copy("sport", R4, 0)
    parse.copy("dport", R4, 2)
    asm.ja(to.whole)
    asm.label(messages)
    parse.keep("l4", R5)
    parse.copy("icmp.type", R4, 0)
    parse.copy("icmp.code", R4, 1)
    asm.ja(to.whole)


def _arp(parse: Parse) -> None:
    """RFC 826; what is not for Ethernet and IPv4 has nothing that a rule could read."""
    asm, to = parse.asm, parse.to
    asm.jump32("!=", R4, ETHERTYPE_ARP, to.whole)
    _within(parse, R2, _ETHERNET + 8)
    emit_is_arp_of_ip4(parse, R2, _ETHERNET, to.whole)
    _within(parse, R2, _ETHERNET + ARP_BYTES)
    parse.put("l4", L4_ARP)
    parse.copy("sport", R2, _ETHERNET + 6)
    parse.copy("ip4.saddr", R2, _ETHERNET + 14)
    parse.copy("ip4.daddr", R2, _ETHERNET + 24)
    asm.ja(to.whole)
