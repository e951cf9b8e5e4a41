"""The hash of a flow, from the record: evaluate.py says what it is.

A few multiplications and no table, so that the same flow has the same hash on every host and
after every change of a policy.
"""

from __future__ import annotations

from typing import Final

from xdpctl.bpf.asm import R0, R1, R2, R3, R10, Assembler, Register
from xdpctl.policy.fields import ETHERTYPE_IP4, ETHERTYPE_IP6, FLOW, SCTP, TCP, UDP
from xdpctl.policy.record import RECORD
from xdpctl.topology.key_names import NO_FRAGMENT

_FACTOR: Final = 0x9E37_79B9_7F4A_7C15  # 2**64 divided by the golden ratio


def emit_flow(asm: Assembler) -> None:
    """Hash the record's addresses, protocol and ports into `flow`; clobbers R0 to R3."""
    ip4, rest, portless, end = (asm.unique(hint) for hint in ("flow4", "flow", "portless", "flown"))
    asm.mov(R0, 0)
    asm.load_immediate(R2, _FACTOR)
    _load(asm, R1, "ether.type")
    asm.jump32("==", R1, ETHERTYPE_IP4, ip4)
    asm.jump32("!=", R1, ETHERTYPE_IP6, end)
    for half in ("saddr.high", "saddr.low", "daddr.high", "daddr.low"):
        _load(asm, R1, f"ip6.{half}")
        _mix(asm)
    asm.ja(rest)
    asm.label(ip4)
    _load(asm, R1, "ip4.saddr")
    asm.lsh(R1, 32)
    _load(asm, R3, "ip4.daddr")
    asm.or_(R1, R3)
    _mix(asm)
    asm.label(rest)
    _ports(asm, portless)
    asm.label(portless)
    _mix(asm)
    asm.mul(R0, R2)
    asm.rsh(R0, 32)
    asm.store(RECORD[FLOW].size, R10, RECORD[FLOW].offset, R0)
    asm.label(end)


def _ports(asm: Assembler, portless: str) -> None:
    """R1 = protocol and ports; a fragment's ports count as 0, as the later ones have none."""
    ported = asm.unique("ported")
    _load(asm, R1, "l4_proto")
    asm.lsh(R1, 32)
    _load(asm, R3, "l4")
    for protocol in (TCP, UDP, SCTP):
        asm.jump32("==", R3, protocol, ported)
    asm.ja(portless)
    asm.label(ported)
    _load(asm, R3, "frag")
    asm.jump32("!=", R3, NO_FRAGMENT, portless)
    _load(asm, R3, "sport")
    asm.lsh(R3, 16)
    asm.or_(R1, R3)
    _load(asm, R3, "dport")
    asm.or_(R1, R3)


def _load(asm: Assembler, target: Register, field: str) -> None:
    asm.load(RECORD[field].size, target, R10, RECORD[field].offset)


def _mix(asm: Assembler) -> None:
    """Take the word R1 into the hash R0."""
    asm.xor(R0, R1)
    asm.mul(R0, R2)
    asm.mov(R1, R0)
    asm.rsh(R1, 32)
    asm.xor(R0, R1)
