"""The header record: where on the stack the parse leaves what the rules read.

The record takes [R10-128, R10). Numbers stand in host byte order, so that ranges compare as they
are written. A field of a protocol that the frame does not have holds anything; the rules read
`parsed`, `ether.type`, `l4` and `l4_proto` first, which say what is there:

    parsed      the deepest layer that parsed well: 0 nothing, 1 Ethernet, 2 IP, 3 nothing is wrong
    ether.type  the type behind the VLAN tags
    l4_proto    the IP protocol, ABSENT_PROTOCOL on what is not IP
    l4          the IP protocol if its header is in the frame, L4_ARP for ARP, else ABSENT_L4

Some fields are not what their bytes in the frame are:

    ether.*     the address in the upper 48 bits, anything below
    vlan.*      the number, or one beyond what it can be where there is no such tag
    frag        1 no fragment, 2 the first, 3 a later one (topology/key_names.py)
    ip6.chain   a bit for each extension header (CHAIN_BITS), and CHAIN_PRESENT
    flow        the hash of the flow (flow.py)
    port        the ifindex of the port that the frame came in by, 0 where it is not known

No field narrower than a slot begins a slot, and none of their constants is zero: the verifier
follows what is stored at the begin of an 8-byte slot (check_stack_write_fixed_off) and would walk
the rules once for each constant, while bytes elsewhere are just "something" to it.
"""

from __future__ import annotations

from typing import Final

from xdpctl.bpf.asm import DW, B, H, Size, W
from xdpctl.record import record

RECORD_BYTES: Final = 128
ABSENT_PROTOCOL: Final = 0xFFFF
ABSENT_L4: Final = 0xFF
NO_VLAN: Final = 1 << 12
NO_PRIORITY: Final = 1 << 3
CHAIN_PRESENT: Final = 0x80


@record
class Slot:
    """Where a field stands: its offset from R10 and its width."""

    offset: int
    size: Size


RECORD: Final = {
    "ip6.saddr.high": Slot(-128, DW),
    "ip6.saddr.low": Slot(-120, DW),
    "ip6.daddr.high": Slot(-112, DW),
    "ip6.daddr.low": Slot(-104, DW),
    "ether.saddr": Slot(-96, DW),
    "ether.daddr": Slot(-88, DW),
    "vlan.pcp": Slot(-79, B),
    "vlan.id": Slot(-78, H),
    "length": Slot(-76, W),
    "vlan.inner_id": Slot(-70, H),
    "frag": Slot(-63, B),
    "sport": Slot(-62, H),
    "ip4.saddr": Slot(-60, W),
    "ip6.chain": Slot(-55, B),
    "dport": Slot(-54, H),
    "ip4.daddr": Slot(-52, W),
    "l4": Slot(-47, B),
    "l4_proto": Slot(-46, H),
    "ether.type": Slot(-44, H),
    "parsed": Slot(-42, B),
    "tcp.flags": Slot(-41, B),
    "icmp.type": Slot(-39, B),
    "icmp.code": Slot(-38, B),
    "dscp": Slot(-37, B),
    "ttl": Slot(-36, B),
    "flow": Slot(-28, W),
    "port": Slot(-20, W),
}
"""Field name → slot. `icmp.*` serves ICMP and ICMPv6, `dscp`, `ttl` and `frag` both versions of
IP, `sport` and `dport` every protocol's; ARP's operation is in `sport`, its addresses in `ip4.*`.
"""

# What the parse needs for itself while it runs. The fields beside CHAINED are stored before the
# chain is walked: a store into its slot would make the verifier forget the number.
CHAINED: Final = Slot(-80, B)  # IPv6 extension headers seen
PROTOCOL: Final = Slot(-71, B)  # the header that the cursor stands on
CURSOR: Final = Slot(-68, W)  # offset into the frame
BUFFER: Final = -32  # the header that was copied last; `flow`, `port` are made when it is done with
BUFFER_BYTES: Final = 32

# The rules' own part of the stack, below what belongs to the programs around them.
TARGET: Final = -140  # what the frame is redirected to (u32), where a rule says so
NOW: Final = -200  # between TARGET and this stands what the pipeline remembers (demux.py)
SET_KEY: Final = -248  # the key of a look-up, at most 48 bytes
PREFIX_LENGTH: Final = -252  # that of a trie, right before its bytes; the word below is a zero
SAMPLE: Final = -384  # of `log`: 128 bytes

MAC_SHIFT: Final = 16
"""The record has an address in the upper bits."""
