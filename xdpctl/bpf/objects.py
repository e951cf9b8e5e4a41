"""BPF objects as file descriptors: owning, closing, asking the kernel what they are."""

from __future__ import annotations

import ctypes
import os
import struct

from xdpctl.bpf.closing import Closing
from xdpctl.bpf.libbpf import call
from xdpctl.record import record

NAME_LENGTH = 15
"""BPF_OBJ_NAME_LEN less its NUL; names are [A-Za-z0-9_.]."""


class Object(Closing):
    """Owns one BPF file descriptor. Closed by `close`, `with`, or when collected."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Give the descriptor back; the object lives on while a pin or attachment holds it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def object_name(text: str) -> bytes:
    """`text` as the kernel takes an object's name: 15 bytes, other characters become `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in text)
    return kept.encode()[:NAME_LENGTH]


def info(fd: int, size: int, prefill: bytes = b"") -> bytes:
    """struct bpf_{prog,map,link}_info of `fd`, `size` bytes of it, zero where the kernel is older.

    `prefill` is written first (counts and pointers of arrays to be filled).
    """
    buffer = ctypes.create_string_buffer(prefill, size)
    length = ctypes.c_uint32(size)
    call("bpf_obj_get_info_by_fd", fd, buffer, ctypes.byref(length), operation="read object info")
    return buffer.raw


@record
class ProgramInfo:
    """What the kernel says of a loaded program."""

    id: int
    type: int
    tag: str
    name: str
    map_ids: tuple[int, ...]
    xlated_bytes: int
    jited_bytes: int


def program_info(fd: int) -> ProgramInfo:
    """Ask for a program's identity and the maps it uses."""
    (count,) = struct.unpack_from("<I", info(fd, 80), 52)
    ids = (ctypes.c_uint32 * max(count, 1))()
    prefill = bytes(52) + struct.pack("<IQ", count, ctypes.addressof(ids) if count else 0)
    raw = info(fd, 80, prefill)
    kind, number, tag, jited, xlated = struct.unpack_from("<II8sII", raw)
    (count,) = struct.unpack_from("<I", raw, 52)
    name = raw[64:80].split(b"\0", 1)[0].decode()
    return ProgramInfo(number, kind, tag.hex(), name, tuple(ids[:count]), xlated, jited)


@record
class MapInfo:
    """What the kernel says of a map."""

    id: int
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str


def map_info(fd: int) -> MapInfo:
    """Ask for a map's shape and name."""
    raw = info(fd, 40)
    kind, number, key, value, entries, flags, name = struct.unpack_from("<IIIIII16s", raw)
    return MapInfo(number, kind, key, value, entries, flags, name.split(b"\0", 1)[0].decode())


@record
class LinkInfo:
    """What the kernel says of a bpf_link; `ifindex` is 0 for a link severed from its device."""

    id: int
    type: int
    program_id: int
    ifindex: int


def link_info(fd: int) -> LinkInfo:
    """Ask for an XDP link's program and device."""
    kind, number, program, ifindex = struct.unpack_from("<III4xI", info(fd, 24))
    return LinkInfo(number, kind, program, ifindex)
