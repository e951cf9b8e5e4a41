"""BPF maps: create, read and write, one element or a batch at a time."""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cache
from pathlib import Path

from xdpctl.bpf import objects
from xdpctl.bpf.libbpf import MapCreateOpts, call, library, refusal


class MapType(IntEnum):
    """enum bpf_map_type: those in use here."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERCPU_ARRAY = 6
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    DEVMAP = 14
    XSKMAP = 17
    DEVMAP_HASH = 25
    RINGBUF = 27


_PER_CPU = frozenset({MapType.PERCPU_ARRAY})
BPF_F_NO_PREALLOC = 1
BPF_F_MMAPABLE = 1 << 10


@cache
def _possible() -> tuple[tuple[int, int], ...]:
    """The kernel's possible, not its online, CPUs, as spans of numbers."""
    spans = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip().split(",")
    return tuple((int(span.split("-")[0]), int(span.split("-")[-1])) for span in spans)


def possible_cpus() -> int:
    """How many values a per-CPU element has."""
    return sum(last - first + 1 for first, last in _possible())


def highest_cpu() -> int:
    """The highest number that a CPU can have (bpf_get_smp_processor_id)."""
    return max(last for _, last in _possible())


class Map(objects.Object):
    """An open map. Keys and values are bytes; a per-CPU value is its CPUs' values in a row."""

    __slots__ = ("_memory", "info", "width")

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.info = objects.map_info(fd)
        self.width = self.info.value_size
        self._memory: memoryview | None = None
        if self.info.type in _PER_CPU:
            self.width = (self.info.value_size + 7) // 8 * 8 * possible_cpus()

    def words(self) -> memoryview:
        """The values of an array with BPF_F_MMAPABLE (5.5) as live 64-bit words, in index order.

        What is written there is what programs see from then on; each word is one store. Raises
        KernelError (ENOMEM).
        """
        if self._memory is None:
            length = self.width * self.info.max_entries
            try:
                mapped = mmap.mmap(self.fd, length)
            except OSError as error:
                raise refusal(f"map memory of {self.info.name}", error.errno or 0) from error
            self._memory = memoryview(mapped).cast("Q")
        return self._memory

    def close(self) -> None:
        """Give the descriptor and the mapping back."""
        self._memory = None  # unmapped with the last view of it
        super().close()

    def update(self, key: bytes, value: bytes) -> None:
        """Write one element (array: replaces it, hash: makes or replaces it)."""
        operation = f"write map {self.info.name}"
        call("bpf_map_update_elem", self.fd, key, value, 0, operation=operation)

    def lookup(self, key: bytes) -> bytes | None:
        """Read one element; None where a hash has no such key."""
        buffer = ctypes.create_string_buffer(self.width)
        result = library().bpf_map_lookup_elem(self.fd, key, buffer)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise refusal(f"read map {self.info.name}", -result)
        return buffer.raw

    def delete(self, key: bytes) -> bool:
        """Remove one element; False where there was none."""
        result = library().bpf_map_delete_elem(self.fd, key)
        if result == -errno.ENOENT:
            return False
        if result < 0:
            raise refusal(f"shrink map {self.info.name}", -result)
        return True

    def keys(self) -> Iterator[bytes]:
        """All keys, as the kernel walks them; an element removed meanwhile may restart the walk."""
        key, step = None, ctypes.create_string_buffer(self.info.key_size)
        while library().bpf_map_get_next_key(self.fd, key, step) == 0:
            key = step.raw
            yield key

    def update_batch(self, keys: bytes, values: bytes) -> None:
        """Write many elements in one call; `keys` and `values` are packed one after another."""
        count = ctypes.c_uint32(len(keys) // self.info.key_size)
        if not count.value:
            return
        operation = f"write map {self.info.name}"
        call("bpf_map_update_batch", self.fd, keys, values, ctypes.byref(count), None,
             operation=operation)  # fmt: skip

    def read_array(self) -> bytes:
        """All values of an array, in index order, in as few calls as the kernel allows."""
        return self._read_batches()[1]

    def read_keys(self) -> bytes:
        """All keys, one after another, in as few calls as the kernel allows."""
        return self._read_batches()[0]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of the map, in as few calls as the kernel allows."""
        keys, values = self._read_batches()
        size = self.info.key_size
        for index in range(len(keys) // size):
            yield (
                keys[index * size : (index + 1) * size],
                values[index * self.width : (index + 1) * self.width],
            )

    def _read_batches(self) -> tuple[bytes, bytes]:
        """Keys and values. A hash answers ENOSPC where one bucket exceeds the room: double it."""
        room = self.info.max_entries if self.info.type != MapType.HASH else 4096
        room = max(1, min(room, 65536))
        keys, values = bytearray(), bytearray()
        # Arrays keep an u32 index in the cursor, hashes an u32 bucket: 8 bytes hold either.
        cursor, following = None, ctypes.create_string_buffer(max(8, self.info.key_size))
        while True:
            key_room = ctypes.create_string_buffer(self.info.key_size * room)
            value_room = ctypes.create_string_buffer(self.width * room)
            count = ctypes.c_uint32(room)
            result = library().bpf_map_lookup_batch(
                self.fd, cursor, following, key_room, value_room, ctypes.byref(count), None
            )
            if result == -errno.ENOSPC:
                room *= 2
                continue
            if result < 0 and result != -errno.ENOENT:
                raise refusal(f"read map {self.info.name}", -result)
            keys += memoryview(key_room)[: count.value * self.info.key_size]
            values += memoryview(value_room)[: count.value * self.width]
            if result == -errno.ENOENT:
                return bytes(keys), bytes(values)
            cursor = following.raw


def create(
    kind: MapType,
    key_size: int,
    value_size: int,
    max_entries: int,
    name: str,
    *,
    flags: int = 0,
    inner: int = 0,
) -> Map:
    """Create a map; raises KernelError (ENOMEM, E2BIG) or NotPermitted.

    `inner` is the descriptor of a map like those that a map of maps is going to hold.
    """
    options = MapCreateOpts(sz=ctypes.sizeof(MapCreateOpts), map_flags=flags, inner_map_fd=inner)
    fd = call(
        "bpf_map_create", kind, objects.object_name(name), key_size, value_size, max_entries,
        ctypes.byref(options), operation=f"create map {name}",
    )  # fmt: skip
    return Map(fd)


def open_named(ids: Iterable[int]) -> dict[str, Map]:
    """Open the maps with these ids, by their names; the caller closes them."""
    opened = [open_id(number) for number in ids]
    return {each.info.name: each for each in opened}


def open_id(number: int) -> Map:
    """Open the map with this id."""
    return Map(call("bpf_map_get_fd_by_id", number, operation=f"open map {number}"))
