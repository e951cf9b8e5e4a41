"""The header record: where on the stack the parse leaves what the rules read.

The record takes [R10-128, R10). Numbers stand in host byte order, so that ranges compare as they
are written. A field of a protocol that the frame does not have holds anything; the rules read
`parsed`, `ether.type`, `l4` and `l4_proto` first, which say what is there:

    parsed      the deepest layer that parsed well: 0 nothing, 1 Ethernet, 2 IP, 3 nothing is wrong
    ether.type  the type behind the VLAN tags
    l4_proto    the IP protocol, ABSENT_PROTOCOL on what is not IP
    l4          the IP protocol if its header is in the frame, ABSENT_L4 otherwise

No field narrower than a slot begins a slot, and none of their constants is zero: the verifier
follows what is stored at the begin of an 8-byte slot (check_stack_write_fixed_off) and would walk
the rules once for each constant, while bytes elsewhere are just "something" to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xdpctl.bpf.asm import DW, B, H, Size, W

RECORD_BYTES: Final = 128
ABSENT_PROTOCOL: Final = 0xFFFF
ABSENT_L4: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a field stands: its offset from R10 and its width."""

    offset: int
    size: Size


RECORD: Final = {
    "ip6.saddr.high": Slot(-128, DW),
    "ip6.saddr.low": Slot(-120, DW),
    "ip6.daddr.high": Slot(-112, DW),
    "ip6.daddr.low": Slot(-104, DW),
    "sport": Slot(-94, H),
    "ip4.saddr": Slot(-92, W),
    "dport": Slot(-86, H),
    "ip4.daddr": Slot(-84, W),
    "l4_proto": Slot(-78, H),
    "ether.type": Slot(-76, H),
    "l4": Slot(-74, B),
    "parsed": Slot(-73, B),
    "icmp.type": Slot(-71, B),
    "icmp.code": Slot(-70, B),
}
"""Field name → slot. `icmp.*` serves ICMP and ICMPv6, `sport` and `dport` every protocol's."""

# Behind the record: what the parse needs for itself while it runs.
BUFFER: Final = -64  # 40 bytes, the longest fixed header
CURSOR: Final = Slot(-24, DW)  # offset into the frame
CHAINED: Final = Slot(-16, DW)  # IPv6 extension headers seen
PROTOCOL: Final = Slot(-8, DW)  # the header that the cursor stands on
