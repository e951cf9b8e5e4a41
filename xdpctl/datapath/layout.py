"""The bytes that programs and user space share: maps, counters, the metadata before a frame."""

from __future__ import annotations

import struct

from xdpctl.record import record

NONCE_BITS = 64
METADATA = struct.Struct("=IIII")
"""What the pipeline puts before a frame that passed a device's policy: the pipeline's nonce (low,
high), the device's ifindex (0: it passed none), that of the port it came in by. Metadata is a
multiple of 4 bytes (net/core/filter.c, bpf_xdp_adjust_meta). It survives veth, bridges and
macvlans, so somebody with a program of his own could write it too: the nonce, new for each
pipeline, is what he does not know."""

TAG_LEVELS = BRIDGE_LEVEL = 2
LOWER_STAGES = TAG_LEVELS + 1
"""Devices below the one that a frame is for whose policies the pipeline runs: two VLANs, one inside
the other, and a bridge. Above a root that has such, their ifindexes stand behind the metadata (0:
none), 28 bytes of the 32 that kernels before 6.8 take."""


def metadata_size(*, deep: bool) -> int:
    """Bytes of the metadata of a pipeline; `deep`: with stages between the root and the devices."""
    return METADATA.size + (INDEX.size * LOWER_STAGES if deep else 0)


HIDDEN_SHIFT = 16
"""On the way to a part of the pipeline the counter block stands where the nonce's lower half
will, and in place of the other the policy, with the bytes of tags that it is not shown above these
bits. No nonce looks like that: its highest bit is set. A part signs what its policy has passed."""


def halves(nonce: int) -> tuple[int, int]:
    """A nonce as the two words that stand before a frame."""
    return nonce & 0xFFFF_FFFF, nonce >> 32


def is_signed(high: int) -> bool:
    """Whether the nonce's upper half stands there, and not what is handed over to a part."""
    return bool(high >> 31)


SLOT = struct.Struct("=QII")
"""One slot of the dispatcher: MAC address (big-endian number, low 48 bits) with the policy's
index above it, counter block, ifindex. Policy 0: no policy, the frame goes to the stack."""

DEEP_SLOT = struct.Struct("=QIIHHHHII")
"""One slot where there are stages between the root and the devices: key, counter block, ifindex,
policy, hub, then policy, (free), counter block and ifindex of the bridge below the device.

The key is the MAC, or a tag (`tag_key`), with the number of the hub that the frame has come to
above it: a VLAN device, or 0, the root. `hub` is that of the VLAN device which the slot is of."""

HUB_SHIFT = 48
TAG = 1 << 40
"""The group bit of an address that is never looked up: the key is of a tag."""
SERVICE_TAG = 1 << 12
"""802.1ad; without this bit, 802.1Q."""


def tag_key(protocol: int, vlan: int) -> int:
    """The key of a VLAN tag on the root."""
    return TAG | (SERVICE_TAG if protocol == 0x88A8 else 0) | vlan


def tag_text(key: int) -> str:
    """A tag as the plan shows it: `802.1Q 7`."""
    return f"{'802.1ad' if key & SERVICE_TAG else '802.1Q'} {key & 0xFFF}"


def hub_key(hub: int, key: int) -> int:
    """The key of an address or a tag at a hub."""
    return hub << HUB_SHIFT | key


ENTRY = struct.Struct("=HHII")
"""One device of the backstop, by ifindex: the policy's index, flood rule, counter block, and the
ifindex that `tx` sends by."""

COUNTER = struct.Struct("=QQ")
"""Packets, bytes."""

UPLINK = struct.Struct("=HHI")
"""One device that frames are delivered to by redirect, by ifindex: the index of the policy for what
comes from it (0: none), whether its driver takes no metadata (as the program there has found),
counter block."""
UPLINK_BARE = 2
"""Where it says so."""

MEMBERS = struct.Struct("=III4x")
"""What stands before the ifindexes of these devices (u32 each, 0: a free place): how many places
are in use, the root's ifindex, MEMBERS_*."""
MEMBERS_STACKED = 1
"""There are macvlans on the root as well: they get what devices send to groups."""
MEMBERS_UNKNOWN = 2
"""Unicast for an address that nobody has goes to every device."""
MEMBERS_TAGGED = 4
"""There are VLANs on the root: tagged frames are theirs, and no device's."""

DISPLACEMENT = struct.Struct("=H")
"""One bucket of the dispatcher's perfect hash."""

INDEX = struct.Struct("=I")

ADDRESS_BITS = 48
ADDRESS = (1 << ADDRESS_BITS) - 1
EMPTY_ADDRESS = ADDRESS
"""The address of a free slot: broadcast is never looked up."""
EMPTY_KEY = (1 << 64) - 1
"""The same for slots with hubs."""

POLICE, GATE, POLICE_AWAY, RELAY, FLOOD_PROGRAM = range(5)
"""Members of the backstop's program array; gate, relay and flood are in it to be found again,
nothing calls them there. Devices in other namespaces have gates of their own and lead to a police
of their own."""

META = "xdpctl_meta"
"""Name of the map with a pipeline's description."""

FLOOD = {"enforce": 0, "pass": 1, "drop": 2}


@record
class Bridge:
    """The stage of the bridge that a device stands on; policy 0: it has none."""

    policy: int = 0
    block: int = 0
    ifindex: int = 0


NO_BRIDGE = Bridge()


@record
class Slot:
    """One occupied slot of the dispatcher; `key` is an address, or a tag, at a hub."""

    position: int
    key: int
    policy: int
    block: int
    ifindex: int
    hub: int = 0
    bridge: Bridge = NO_BRIDGE

    @property
    def address(self) -> int:
        """The MAC address."""
        return self.key & ADDRESS

    @property
    def is_tag(self) -> bool:
        """Whether it is a VLAN device's, found by a tag."""
        return bool(self.key & TAG)


LANES = 64
"""Devices whose counters alternate in memory: what frames of the same kind count on stands close
together for all of them, four in a cache line. So a block's counters are this far apart: not less,
or the hot lines would be spread so regularly that they share few sets of the caches."""

# The head of every counter block; a policy's rules follow it.
HEAD = DEFAULT, MALFORMED, FLOODED, UNKNOWN = tuple(range(0, 4 * LANES, LANES))
FIRST_RULE = 4 * LANES


@record
class Counters:
    """Packets and bytes, summed over CPUs."""

    packets: int = 0
    bytes: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(self.packets + other.packets, self.bytes + other.bytes)

    def __sub__(self, other: Counters) -> Counters:
        return Counters(self.packets - other.packets, self.bytes - other.bytes)

    def document(self) -> dict[str, int]:
        """As JSON has it."""
        return {"packets": self.packets, "bytes": self.bytes}


def mac_number(text: str) -> int:
    """An address as the big-endian number that slots are keyed by."""
    return int(text.replace(":", ""), 16)


def mac_text(number: int) -> str:
    """The usual spelling of an address."""
    return number.to_bytes(6, "big").hex(":")
