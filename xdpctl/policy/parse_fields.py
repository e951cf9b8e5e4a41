"""Fields that need more than a copy, for both parsers: each emitter stores what is asked for."""

from __future__ import annotations

from xdpctl.bpf.asm import R0, R1, R2, R6, R10, B, H, Register, Size, W
from xdpctl.policy.parse_state import Parse
from xdpctl.topology.key_names import FIRST_FRAGMENT, LATER_FRAGMENT, NO_FRAGMENT

FN_XDP_GET_BUFF_LEN = 188
_TAG_BYTES = 4
_ARP_IS_IP4 = 0x0001_0800  # RFC 826: hardware Ethernet, protocol IPv4 …
_ARP_SIZES = 0x0604  # … addresses of 6 and 4 bytes


def emit_length(parse: Parse) -> None:
    """The whole frame's bytes, with a tag that stands beside it; clobbers R0 to R5."""
    asm, hook = parse.asm, parse.hook
    if not parse.wants("length"):
        return
    if hook.length is None:
        asm.mov(R1, R6)
        asm.call(FN_XDP_GET_BUFF_LEN)
    else:
        asm.load(W, R0, R6, hook.length)
        if hook.vlan_present is not None:
            untagged = asm.unique("untagged")
            asm.load(W, R1, R6, hook.vlan_present)
            asm.jump32("==", R1, 0, untagged)
            asm.add(R0, _TAG_BYTES)
            asm.label(untagged)
    if parse.hidden is not None:
        parse.load_hidden(R1)
        asm.sub(R0, R1)
    parse.keep("length", R0)


def emit_tag_beside(parse: Parse) -> None:
    """The tag that tc keeps beside the frame is the outer one; clobbers R0 and R1."""
    asm, hook = parse.asm, parse.hook
    if hook.vlan_present is None or hook.vlan_tci is None:
        return
    if not parse.wants("vlan.id", "vlan.pcp"):
        return
    absent = asm.unique("absent")
    asm.load(W, R0, R6, hook.vlan_present)
    asm.jump32("==", R0, 0, absent)
    asm.load(W, R0, R6, hook.vlan_tci)
    _outer(parse)
    asm.label(absent)


def emit_tag(parse: Parse, tag: int, base: Register, offset: int) -> None:
    """The tag of number `tag` among those in the frame; clobbers R0 and R1."""
    asm, beside = parse.asm, parse.hook.vlan_present
    if tag > 0 or beside is None:
        _emit_tag(parse, base, offset, is_outer=tag == 0)
    elif parse.wants("vlan.id", "vlan.pcp", "vlan.inner_id"):
        inner, done = asm.unique("inner"), asm.unique("tag")
        asm.load(W, R0, R6, beside)
        asm.jump32("!=", R0, 0, inner)
        _emit_tag(parse, base, offset, is_outer=True)
        asm.ja(done)
        asm.label(inner)
        _emit_tag(parse, base, offset, is_outer=False)
        asm.label(done)


def _emit_tag(parse: Parse, base: Register, offset: int, *, is_outer: bool) -> None:
    asm = parse.asm
    if not parse.wants(*(("vlan.id", "vlan.pcp") if is_outer else ("vlan.inner_id",))):
        return
    asm.load(H, R0, base, offset)
    asm.big_endian(R0, 16)
    if is_outer:
        _outer(parse)
        return
    asm.and32(R0, 0x0FFF)
    parse.keep("vlan.inner_id", R0)


def _outer(parse: Parse) -> None:
    """R0 is the tag's control information (IEEE 802.1Q 9.6): 3 bits priority, 1 bit, 12 bits id."""
    asm = parse.asm
    asm.mov32(R1, R0)
    asm.rsh32(R1, 13)
    asm.and32(R1, 7)
    parse.keep("vlan.pcp", R1)
    asm.and32(R0, 0x0FFF)
    parse.keep("vlan.id", R0)


def emit_ip4_fields(parse: Parse, base: Register, offset: int) -> None:
    """Of an IPv4 header at base + offset; clobbers R1."""
    asm = parse.asm
    for field, at in (("ip4.saddr", 12), ("ip4.daddr", 16), ("ttl", 8)):
        parse.copy(field, base, offset + at)
    if parse.wants("dscp"):
        asm.load(B, R1, base, offset + 1)
        asm.rsh32(R1, 2)
        parse.keep("dscp", R1)
    if parse.wants("frag"):
        done = asm.unique("frag")
        asm.load(H, R1, base, offset + 6)
        asm.big_endian(R1, 16)
        parse.put("frag", LATER_FRAGMENT)
        asm.jump32("&", R1, 0x1FFF, done)
        parse.put("frag", FIRST_FRAGMENT)
        asm.jump32("&", R1, 0x2000, done)
        parse.put("frag", NO_FRAGMENT)
        asm.label(done)


def emit_ip6_fields(parse: Parse, base: Register, offset: int) -> None:
    """Of the first 8 bytes of an IPv6 header at base + offset; clobbers R1."""
    asm = parse.asm
    parse.copy("ttl", base, offset + 7)
    if parse.wants("dscp"):
        asm.load(H, R1, base, offset)
        asm.big_endian(R1, 16)
        asm.rsh32(R1, 6)
        asm.and32(R1, 0x3F)
        parse.keep("dscp", R1)
    parse.put("frag", NO_FRAGMENT)


def emit_is_arp_of_ip4(parse: Parse, base: Register, offset: int, other: str) -> None:
    """Go to `other` unless the ARP header speaks of Ethernet and IPv4; clobbers R1."""
    asm = parse.asm
    asm.load(W, R1, base, offset)
    asm.big_endian(R1, 32)
    asm.jump32("!=", R1, _ARP_IS_IP4, other)
    asm.load(H, R1, base, offset + 4)
    asm.big_endian(R1, 16)
    asm.jump32("!=", R1, _ARP_SIZES, other)


def emit_48_from_stack(parse: Parse, field: str, offset: int) -> None:
    """A MAC address at an offset that is no multiple of 8, as the stack can't be read there."""
    _emit_parts(parse, field, offset, ((H, 48), (W, 16)))


def emit_32_from_stack(parse: Parse, field: str, offset: int) -> None:
    """An IPv4 address at an offset that is no multiple of 4."""
    _emit_parts(parse, field, offset, ((H, 16), (H, 0)))


def _emit_parts(parse: Parse, field: str, offset: int, parts: tuple[tuple[Size, int], ...]) -> None:
    """Put a number together from parts of so many bytes, each shifted so far; clobbers R1, R2."""
    asm = parse.asm
    if not parse.wants(field):
        return
    asm.mov(R1, 0)
    for size, shift in parts:
        asm.load(size, R2, R10, offset)
        asm.big_endian(R2, size.bytes * 8)
        asm.lsh(R2, shift)
        asm.or_(R1, R2)
        offset += size.bytes
    parse.keep(field, R1)
