"""In which other network namespaces devices of a topology were put: a pinned map of their names.

Of a macvlan that lives elsewhere nothing is to be seen in here, so what is to be found again after
it left the file, or by the topology's name alone, must be written down. It says only where to look:
whose a device is, its label says.
"""

from __future__ import annotations

from pathlib import Path

from xdpctl.bpf import maps, pins
from xdpctl.bpf.maps import MapType

PIN = "namespaces"
_NAME_BYTES = 256
_VALUE_BYTES = 1


def path(netns: str, topology: str) -> Path:
    """Where the map is pinned."""
    return pins.directory(netns, topology) / PIN


def recorded(netns: str, topology: str) -> frozenset[str]:
    """The names of the namespaces; none where nothing is pinned."""
    place = path(netns, topology)
    if not place.exists():
        return frozenset()
    with maps.Map(pins.open_pin(place)) as opened:
        return frozenset(key.rstrip(b"\0").decode() for key, _ in opened.items())


def record(netns: str, topology: str, names: frozenset[str]) -> None:
    """Write down these and no others, in place of what stood there. None: nothing is pinned."""
    place = path(netns, topology)
    if not names:
        pins.remove(place)
        pins.remove_empty(place.parent)
        return
    pins.require_bpffs()
    keys = b"".join(name.encode().ljust(_NAME_BYTES, b"\0") for name in sorted(names))
    with maps.create(
        MapType.HASH, _NAME_BYTES, _VALUE_BYTES, len(names), "xdpctl_netns",
        flags=maps.BPF_F_NO_PREALLOC,
    ) as made:  # fmt: skip
        made.update_batch(keys, bytes(len(names)))
        try:
            pins.replace(made.fd, place)
        finally:
            pins.remove_empty(place.parent)  # which it is after a refusal
