"""What was switched for XDP, to be switched back: a pinned map that is written before the switch.

Not in a program's description: features are switched before there is a program, and a need may
begin and end while the program stays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from xdpctl.bpf import maps, pins
from xdpctl.bpf.maps import BPF_F_NO_PREALLOC, Map, MapType
from xdpctl.datapath.pin_names import OFFLOADS_PIN

KEY, VALUE = struct.Struct("=I32s"), struct.Struct("=I")
"""ifindex and feature (ETH_GSTRING_LEN); whether it was on."""
MOST = 1 << 16
NAME = "xdpctl_offloads"

Tuned = Mapping[tuple[int, str], bool]
"""Whether a feature was on before, by ifindex and the feature's name."""


def read(directory: Path) -> dict[tuple[int, str], bool]:
    """What a topology has switched; nothing where its directory has no such pin."""
    path = directory / OFFLOADS_PIN
    if not path.exists():
        return {}
    with Map(pins.open_pin(path)) as opened:
        return {_plain(key): VALUE.unpack(value) != (0,) for key, value in opened.items()}


def remember(directory: Path, before: Tuned) -> None:
    """Write down how features are before they are switched; makes the map where there is none."""
    with _opened(directory / OFFLOADS_PIN) as opened:
        for (ifindex, feature), on in before.items():
            opened.update(KEY.pack(ifindex, feature.encode()), VALUE.pack(on))


def forget(directory: Path, switched: Iterable[tuple[int, str]]) -> None:
    """Take features out that are as they were, or no longer ours; the map goes with the last."""
    path = directory / OFFLOADS_PIN
    if not path.exists():
        return
    with Map(pins.open_pin(path)) as opened:
        for ifindex, feature in switched:
            opened.delete(KEY.pack(ifindex, feature.encode()))
        empty = next(opened.keys(), None) is None
    if empty:
        pins.remove(path)
        pins.remove_empty(directory)


def _opened(path: Path) -> Map:
    if path.exists():
        return Map(pins.open_pin(path))
    made = maps.create(MapType.HASH, KEY.size, VALUE.size, MOST, NAME, flags=BPF_F_NO_PREALLOC)
    try:
        pins.pin(made.fd, path)
    except BaseException:
        made.close()
        raise
    return made


def _plain(key: bytes) -> tuple[int, str]:
    ifindex, feature = KEY.unpack(key)
    return ifindex, feature.rstrip(b"\0").decode()
