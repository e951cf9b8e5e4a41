"""Sets in the kernel: a map of the entries, in an array of maps that the programs look into.

Writing the array's one element replaces all entries at once. What the map holds is written down
beside, in `xdpctl_sets`: the digest and the number of the entries, or nothing while they change.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from xdpctl.bpf import maps
from xdpctl.bpf.maps import Map, MapType
from xdpctl.datapath.layout import INDEX
from xdpctl.errors import XdpctlError
from xdpctl.policy.set_layout import BITMAP_BYTES, bitmap, keys, layout
from xdpctl.record import record
from xdpctl.topology.model import Set

STATE: Final = struct.Struct("=8sQ")
"""What a set holds: the digest of its entries, their number. Zeros: not known."""
_VALUE: Final = b"\1"
_FIRST: Final = INDEX.pack(0)


@record
class Contents:
    """What a set's map holds."""

    digest: str
    count: int

    def pack(self) -> bytes:
        """As it stands in `xdpctl_sets`."""
        return STATE.pack(bytes.fromhex(self.digest), self.count)

    def __str__(self) -> str:
        return f"{self.count} entr{'ies' if self.count != 1 else 'y'} ({self.digest})"


@lru_cache(maxsize=1024)
def contents(found: Set) -> Contents:
    """The digest of a set's entries, whatever order they were written in.

    Asked for by the plan, the apply and its verification, so kept: a million take a second.
    """
    hashed = hashlib.sha256(_sorted(found.exact, found.width))
    for length, numbers in sorted(found.prefixes.items()):
        hashed.update(b"/%d" % length)
        hashed.update(_sorted(numbers, found.width))
    return Contents(hashed.hexdigest()[:16], len(found))


def _sorted(numbers: Iterable[int], width: int) -> bytes:
    """The numbers in their order, as bytes."""
    ordered = sorted(numbers)
    if width <= 64:
        return array("Q", ordered).tobytes()
    return b"".join(number.to_bytes((width + 7) // 8, "big") for number in ordered)


def unpack(value: bytes) -> Contents | None:
    """What stands in `xdpctl_sets`; None if it is not known."""
    digest, count = STATE.unpack(value)
    return Contents(digest.hex(), count) if any(digest) else None


def create_entries(found: Set) -> Map:
    """A map that holds a set's entries."""
    placed, name = layout(found), f"set_{found.name}"
    if placed.shape == "bitmap":
        made = maps.create(MapType.ARRAY, 4, BITMAP_BYTES, 1, name)
        made.update(_FIRST, bitmap(found))
        return made
    kind = MapType.HASH if placed.shape == "hash" else MapType.LPM_TRIE
    room = 1 << max(4, (len(found) + len(found) // 4).bit_length())
    made = maps.create(kind, placed.key_bytes, 1, room, name, flags=maps.BPF_F_NO_PREALLOC)
    made.update_batch(keys(found), _VALUE * len(found))
    return made


def create_array(entries: Map, name: str) -> Map:
    """The array that programs look into, with these entries."""
    array = maps.create(MapType.ARRAY_OF_MAPS, 4, 4, 1, name, inner=entries.fd)
    array.update(_FIRST, INDEX.pack(entries.fd))
    return array


def entries_of(array: Map) -> Map:
    """The map that the array holds now."""
    value = array.lookup(_FIRST)
    if value is None:
        raise XdpctlError(f"{array.info.name} has lost the entries of its set")
    return maps.open_id(INDEX.unpack(value)[0])


def put(array: Map, entries: Map) -> None:
    """Replace all entries at once."""
    array.update(_FIRST, INDEX.pack(entries.fd))


def difference(live: Map, found: Set, most: int) -> tuple[list[bytes], list[bytes]] | None:
    """Keys to add to a map of entries and keys to delete, if there are not more than `most`."""
    if layout(found).shape == "bitmap":
        return None
    there, wanted = _split(live.read_keys(), live), _split(keys(found), live)
    added, gone = wanted - there, there - wanted
    if len(added) + len(gone) > most or len(wanted) > live.info.max_entries:
        return None
    return list(added), list(gone)


def _split(raw: bytes, live: Map) -> set[bytes]:
    size = live.info.key_size
    return {raw[at : at + size] for at in range(0, len(raw), size)}


def change(live: Map, added: list[bytes], gone: list[bytes]) -> None:
    """Add these keys to a map of entries, and take those away."""
    for key in added:
        live.update(key, _VALUE)
    for key in gone:
        live.delete(key)
