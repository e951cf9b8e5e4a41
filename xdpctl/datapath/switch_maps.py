"""The maps of a pipeline whose root has devices that frames are delivered to by redirect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xdpctl.bpf import maps
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.layout import INDEX, MEMBERS, UPLINK
from xdpctl.datapath.slot_map import store
from xdpctl.record import record

UPLINKS, DELIVER, PLACES = "xdpctl_uplinks", "xdpctl_deliver", "xdpctl_places"
NAMES = (UPLINKS, DELIVER, PLACES)
SMALLEST = 64
ROOT_KEY = 0xFFFF_FFFF
"""The key of the root itself among the devices that frames are delivered to: no ifindex is that."""


@record
class Uplink:
    """What comes from a device: the index of its egress policy (0: none), and the counter block."""

    policy: int
    block: int


@record
class Places:
    """The devices that get clones, each at a place of its own (0: a free one)."""

    root: int
    flags: int
    devices: tuple[int, ...]

    def moved(self, wanted: frozenset[int], capacity: int) -> Places:
        """The same with the wanted devices: who stays keeps the place. None is twice in between."""
        kept = [one if one in wanted else 0 for one in self.devices]
        free = [at for at, one in enumerate(kept) if not one]
        for one in sorted(wanted.difference(kept)):
            if free:
                kept[free.pop(0)] = one
            else:
                kept.append(one)
        while kept and not kept[-1]:
            kept.pop()
        assert len(kept) <= capacity
        return Places(self.root, self.flags, tuple(kept))


@record
class SwitchMaps:
    """The open maps.

    uplinks  Uplink by ifindex
    deliver  DEVMAP_HASH: the devices by ifindex, the root by ROOT_KEY
    places   Places
    """

    uplinks: Map
    deliver: Map
    places: Map

    def all(self) -> tuple[Map, ...]:
        """Every one of them."""
        return self.uplinks, self.deliver, self.places

    @property
    def capacity(self) -> int:
        """How many devices there is room for, a power of two."""
        return self.uplinks.info.max_entries

    def write_uplinks(self, uplinks: Mapping[int, Uplink]) -> None:
        """Write these devices' entries."""
        for ifindex, one in uplinks.items():
            self.uplinks.update(INDEX.pack(ifindex), UPLINK.pack(one.policy, 0, one.block))

    def write_places(self, wanted: Places) -> None:
        """The places first, then how many of them there are."""
        words = self.places.words().cast("B").cast("I")
        start = MEMBERS.size // 4
        before = words[0]
        for at in range(max(before, len(wanted.devices))):
            there = at < len(wanted.devices)
            store(words, start + at, wanted.devices[at] if there else 0)
        store(words, 1, wanted.root)
        store(words, 2, wanted.flags)
        store(words, 0, len(wanted.devices))


def capacity_for(devices: int) -> int:
    """Room to double."""
    return max(SMALLEST, 1 << (2 * devices - 1).bit_length())


def create(capacity: int) -> SwitchMaps:
    """New maps without a device."""
    free = maps.BPF_F_NO_PREALLOC
    return SwitchMaps(
        maps.create(MapType.HASH, 4, UPLINK.size, capacity, UPLINKS, flags=free),
        maps.create(MapType.DEVMAP_HASH, 4, 4, capacity, DELIVER),
        maps.create(
            MapType.ARRAY, 4, MEMBERS.size + 4 * capacity, 1, PLACES, flags=maps.BPF_F_MMAPABLE
        ),
    )


def open_maps(ids: Mapping[str, int]) -> SwitchMaps | None:
    """Those of a loaded pipeline; None where it has none."""
    if UPLINKS not in ids:
        return None
    return SwitchMaps(*(maps.open_id(ids[name]) for name in NAMES))


def read_uplinks(opened: Map) -> Iterator[tuple[int, Uplink]]:
    """By ifindex."""
    for key, value in opened.items():
        policy, _, block = UPLINK.unpack(value)
        yield INDEX.unpack(key)[0], Uplink(policy, block)


def read_delivered(opened: Map) -> dict[int, int]:
    """Where each key leads: the kernel takes away devices that are deleted. It reads a DEVMAP_HASH
    one by one only.
    """
    found = ((key, opened.lookup(key)) for key in opened.keys())  # noqa: SIM118 (no mapping)
    return {INDEX.unpack(key)[0]: INDEX.unpack(value)[0] for key, value in found if value}


def read_places(opened: Map) -> Places:
    """As they are."""
    value = opened.lookup(INDEX.pack(0)) or bytes(MEMBERS.size)
    count, root, flags = MEMBERS.unpack_from(value)
    devices = value[MEMBERS.size : MEMBERS.size + INDEX.size * count]
    return Places(root, flags, tuple(one for (one,) in INDEX.iter_unpack(devices)))
