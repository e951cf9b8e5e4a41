"""libbpf's low-level calls, typed, with the kernel's answer as an exception.

Mostly wrappers of bpf(2): they are stable since libbpf 0.8 (Debian 12 has 1.1) and know the layout
of `union bpf_attr`. Objects are found, loaded and attached by the modules beside. For users' own
ELF objects libbpf is the loader, too (elf.py).
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_bool, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache

from xdpctl.errors import KernelError, NotPermitted, UnsupportedError

SONAME = "libbpf.so.1"


class MapCreateOpts(ctypes.Structure):
    """struct bpf_map_create_opts (libbpf 1.0)."""

    _fields_ = (
        ("sz", c_size_t),
        ("btf_fd", c_uint32),
        ("btf_key_type_id", c_uint32),
        ("btf_value_type_id", c_uint32),
        ("btf_vmlinux_value_type_id", c_uint32),
        ("inner_map_fd", c_uint32),
        ("map_flags", c_uint32),
        ("map_extra", c_uint64),
        ("numa_node", c_uint32),
        ("map_ifindex", c_uint32),
    )


class ProgLoadOpts(ctypes.Structure):
    """struct bpf_prog_load_opts (libbpf 1.0)."""

    _fields_ = (
        ("sz", c_size_t),
        ("attempts", c_int),
        ("expected_attach_type", c_int),
        ("prog_btf_fd", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_ifindex", c_uint32),
        ("kern_version", c_uint32),
        ("attach_btf_id", c_uint32),
        ("attach_prog_fd", c_uint32),
        ("attach_btf_obj_fd", c_uint32),
        ("fd_array", c_void_p),
        ("func_info", c_void_p),
        ("func_info_cnt", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("line_info", c_void_p),
        ("line_info_cnt", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_void_p),
    )


class LinkCreateOpts(ctypes.Structure):
    """struct bpf_link_create_opts: the head that XDP links use (flags alone)."""

    _fields_ = (
        ("sz", c_size_t),
        ("flags", c_uint32),
        ("iter_info", c_void_p),
        ("iter_info_len", c_uint32),
        ("target_btf_id", c_uint32),
    )


class TestRunOpts(ctypes.Structure):
    """struct bpf_test_run_opts (libbpf 1.0)."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class ObjectOpenOpts(ctypes.Structure):
    """struct bpf_object_open_opts (libbpf 1.0)."""

    _fields_ = (
        ("sz", c_size_t),
        ("object_name", c_char_p),
        ("relaxed_maps", c_bool),
        ("pin_root_path", c_char_p),
        ("unused", c_uint32),
        ("kconfig", c_char_p),
        ("btf_custom_path", c_char_p),
        ("kernel_log_buf", c_void_p),
        ("kernel_log_size", c_size_t),
        ("kernel_log_level", c_uint32),
    )


_SIGNATURES: dict[str, tuple[type, ...]] = {
    "bpf_map_create": (c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p),
    "bpf_map_update_elem": (c_int, c_void_p, c_void_p, c_uint64),
    "bpf_map_lookup_elem": (c_int, c_void_p, c_void_p),
    "bpf_map_delete_elem": (c_int, c_void_p),
    "bpf_map_get_next_key": (c_int, c_void_p, c_void_p),
    "bpf_map_lookup_batch": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "bpf_map_update_batch": (c_int, c_void_p, c_void_p, c_void_p, c_void_p),
    "bpf_prog_load": (c_int, c_char_p, c_char_p, c_void_p, c_size_t, c_void_p),
    "bpf_prog_bind_map": (c_int, c_int, c_void_p),
    "bpf_prog_test_run_opts": (c_int, c_void_p),
    "bpf_btf_load": (c_char_p, c_size_t, c_void_p),
    "bpf_obj_pin": (c_int, c_char_p),
    "bpf_obj_get": (c_char_p,),
    "bpf_obj_get_info_by_fd": (c_int, c_void_p, c_void_p),
    "bpf_prog_get_fd_by_id": (c_uint32,),
    "bpf_map_get_fd_by_id": (c_uint32,),
    "bpf_link_get_fd_by_id": (c_uint32,),
    "bpf_link_get_next_id": (c_uint32, c_void_p),
    "bpf_link_create": (c_int, c_int, c_int, c_void_p),
    "bpf_link_update": (c_int, c_int, c_void_p),
    "bpf_link_detach": (c_int,),
    "bpf_object__open_mem": (c_char_p, c_size_t, c_void_p),
    "bpf_object__load": (c_void_p,),
    "bpf_object__close": (c_void_p,),
    "bpf_object__btf": (c_void_p,),
    "bpf_object__next_program": (c_void_p, c_void_p),
    "bpf_object__next_map": (c_void_p, c_void_p),
    "bpf_program__name": (c_void_p,),
    "bpf_program__fd": (c_void_p,),
    "bpf_program__insns": (c_void_p,),
    "bpf_program__insn_cnt": (c_void_p,),
    "bpf_program__set_autoload": (c_void_p, c_bool),
    "bpf_program__set_type": (c_void_p, c_int),
    "bpf_program__set_expected_attach_type": (c_void_p, c_int),
    "bpf_program__set_flags": (c_void_p, c_uint32),
    "bpf_map__name": (c_void_p,),
    "bpf_map__fd": (c_void_p,),
    "bpf_map__type": (c_void_p,),
    "bpf_map__key_size": (c_void_p,),
    "bpf_map__value_size": (c_void_p,),
    "bpf_map__max_entries": (c_void_p,),
    "bpf_map__map_flags": (c_void_p,),
    "bpf_map__is_internal": (c_void_p,),
    "bpf_map__pin_path": (c_void_p,),
    "bpf_map__set_pin_path": (c_void_p, c_char_p),
    "bpf_map__reuse_fd": (c_void_p, c_int),
    "btf__type_by_id": (c_void_p, c_uint32),
    "btf__name_by_offset": (c_void_p, c_uint32),
    "ring_buffer__new": (c_int, c_void_p, c_void_p, c_void_p),
    "ring_buffer__add": (c_void_p, c_int, c_void_p, c_void_p),
    "ring_buffer__poll": (c_void_p, c_int),
    "ring_buffer__free": (c_void_p,),
}
_RESULTS: dict[str, type | None] = {
    "bpf_object__open_mem": c_void_p,
    "bpf_object__close": None,
    "bpf_object__btf": c_void_p,
    "bpf_object__next_program": c_void_p,
    "bpf_object__next_map": c_void_p,
    "bpf_program__name": c_char_p,
    "bpf_program__insns": c_void_p,
    "bpf_program__insn_cnt": c_size_t,
    "bpf_map__name": c_char_p,
    "bpf_map__key_size": c_uint32,
    "bpf_map__value_size": c_uint32,
    "bpf_map__max_entries": c_uint32,
    "bpf_map__map_flags": c_uint32,
    "bpf_map__is_internal": c_bool,
    "bpf_map__pin_path": c_char_p,
    "btf__type_by_id": c_void_p,
    "btf__name_by_offset": c_char_p,
    "ring_buffer__new": c_void_p,
    "ring_buffer__free": None,
}
"""What is no int."""


@cache
def library() -> ctypes.CDLL:
    """The loaded library with argument types set; raises UnsupportedError where it is missing."""
    try:
        loaded = ctypes.CDLL(SONAME, use_errno=True)
    except OSError as error:
        raise UnsupportedError(
            f"{SONAME} cannot be loaded: {error}", hint="apt-get install libbpf1"
        ) from error
    for name, arguments in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes = arguments
        function.restype = _RESULTS.get(name, c_int)
    loaded.libbpf_set_print(None)  # messages reach the user as exceptions, not on stderr
    return loaded


def call(name: str, *arguments: object, operation: str | None = None) -> int:
    """Call `name`; returns its result, raises KernelError or NotPermitted where it is negative.

    `operation` is what the user was doing, for the message.
    """
    result = int(getattr(library(), name)(*arguments))
    if result >= 0:
        return result
    raise refusal(operation or name, -result)


def refusal(operation: str, number: int, reason: str = "") -> KernelError | NotPermitted:
    """The exception for a refused bpf(2) call: NotPermitted for EPERM, else KernelError."""
    if number == errno.EPERM:
        return NotPermitted(
            f"{operation}: {reason or os.strerror(number)}",
            hint="XDP needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON: run as root",
        )
    return KernelError(operation, number, reason)
