"""The bytes that programs and user space share: maps, counters, the metadata before a frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass

NONCE_BITS = 64
METADATA = struct.Struct("=IIII")
"""What the pipeline puts before a frame that passed a device's policy: the pipeline's nonce (low,
high), the device's ifindex (0: it passed none), that of the port it came in by. Metadata is a
multiple of 4 bytes (net/core/filter.c, bpf_xdp_adjust_meta). It survives veth, bridges and
macvlans, so somebody with a program of his own could write it too: the nonce, new for each
pipeline, is what he does not know."""

HANDOVER = struct.Struct("=IIIIII")
"""The same on the way to a part of the pipeline: nonce (0 until the policy has passed the frame),
ifindex, port, counter block, policy. What the gate reads stands first in both."""


def halves(nonce: int) -> tuple[int, int]:
    """A nonce as the two words that stand before a frame."""
    return nonce & 0xFFFF_FFFF, nonce >> 32


SLOT = struct.Struct("=QII")
"""One slot of the dispatcher: MAC address (big-endian number, low 48 bits) with the policy's
index above it, counter block, ifindex. Policy 0: no policy, the frame goes to the stack."""

ENTRY = struct.Struct("=HHII")
"""One device of the backstop, by ifindex: the policy's index, flood rule, counter block, and the
ifindex that `tx` sends by."""

COUNTER = struct.Struct("=QQ")
"""Packets, bytes."""

DISPLACEMENT = struct.Struct("=H")
"""One bucket of the dispatcher's perfect hash."""

INDEX = struct.Struct("=I")

ADDRESS_BITS = 48
EMPTY_ADDRESS = (1 << ADDRESS_BITS) - 1
"""The address of a free slot: broadcast is never looked up."""

POLICE, GATE = 0, 1
"""Members of the backstop's program array; the gate is in it to be found again, nothing calls it
there."""

META = "xdpctl_meta"
"""Name of the map with a pipeline's description."""

FLOOD = {"enforce": 0, "pass": 1, "drop": 2}


@dataclass(frozen=True, slots=True)
class Slot:
    """One occupied slot of the dispatcher."""

    position: int
    address: int
    policy: int
    block: int
    ifindex: int


LANES = 64
"""Devices whose counters alternate in memory: what frames of the same kind count on stands close
together for all of them, four in a cache line. So a block's counters are this far apart: not less,
or the hot lines would be spread so regularly that they share few sets of the caches."""

# The head of every counter block; a policy's rules follow it.
HEAD = DEFAULT, MALFORMED, FLOODED, UNKNOWN = tuple(range(0, 4 * LANES, LANES))
FIRST_RULE = 4 * LANES


@dataclass(frozen=True, slots=True)
class Counters:
    """Packets and bytes, summed over CPUs."""

    packets: int = 0
    bytes: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(self.packets + other.packets, self.bytes + other.bytes)

    def __sub__(self, other: Counters) -> Counters:
        return Counters(self.packets - other.packets, self.bytes - other.bytes)


def mac_number(text: str) -> int:
    """An address as the big-endian number that slots are keyed by."""
    return int(text.replace(":", ""), 16)


def mac_text(number: int) -> str:
    """The usual spelling of an address."""
    return number.to_bytes(6, "big").hex(":")
