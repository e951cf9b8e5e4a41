"""The names of a loaded program's functions, from the BTF that it was loaded with."""

from __future__ import annotations

import ctypes
import struct

from xdpctl.bpf import objects
from xdpctl.bpf.btf import FUNC_INFO
from xdpctl.bpf.libbpf import library

_INFO_BYTES = 152
_RECORDS, _COUNT = 132, 144
"""Offsets in struct bpf_prog_info: func_info_rec_size and func_info, nr_func_info."""
_MOST = 256
"""More functions the kernel does not take (BPF_MAX_SUBPROGS)."""


def function_names(fd: int, btf: int | None) -> list[str]:
    """Names by place in the program; empty where it has no BTF. `btf` is libbpf's handle of it,
    with the numbering that the kernel has.
    """
    records = ctypes.create_string_buffer(FUNC_INFO.size * _MOST)
    head = bytes(_RECORDS) + struct.pack("=IQI", FUNC_INFO.size, ctypes.addressof(records), _MOST)
    raw = objects.info(fd, _INFO_BYTES, head)
    (count,) = struct.unpack_from("=I", raw, _COUNT)
    if not btf:
        return []
    found = FUNC_INFO.iter_unpack(records.raw[: count * FUNC_INFO.size])
    return [_name(btf, number) for _, number in found]


def _name(btf: int, number: int) -> str:
    """The name of a type: struct btf_type begins with its offset among the strings."""
    kind = library().btf__type_by_id(btf, number)
    offset = ctypes.c_uint32.from_address(kind).value
    return str(library().btf__name_by_offset(btf, offset).decode())
