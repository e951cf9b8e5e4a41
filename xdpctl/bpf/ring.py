"""A BPF ring buffer read by libbpf: records as they come, for as long as somebody listens."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterable
from typing import Any, Final, Self

from xdpctl.bpf.libbpf import library, refusal
from xdpctl.bpf.maps import Map

_SAMPLE: Final[Any] = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)


class Ring:
    """Several ring buffers, listened to at once; use it in a `with` block.

    `heard` is called with the number of the buffer and the bytes of a record.
    """

    def __init__(self, buffers: Iterable[Map], heard: Callable[[int, bytes], None]) -> None:
        self._heard = heard
        self._callbacks: list[Any] = []
        self._handle = 0
        for number, each in enumerate(buffers):
            self._add(number, each)

    def _add(self, number: int, each: Map) -> None:
        def hear(_context: int, data: int, size: int) -> int:
            self._heard(number, ctypes.string_at(data, size))
            return 0

        callback = _SAMPLE(hear)
        self._callbacks.append(callback)  # libbpf calls it; it must not be collected
        lib = library()
        if not self._handle:
            self._handle = lib.ring_buffer__new(each.fd, callback, None, None) or 0
            result = 0 if self._handle else -ctypes.get_errno()
        else:
            result = lib.ring_buffer__add(self._handle, each.fd, callback, None)
        if result < 0:
            raise refusal(f"listen to {each.info.name}", -result)

    def poll(self, milliseconds: int) -> int:
        """Wait so long for records at the most; how many came."""
        result = int(library().ring_buffer__poll(self._handle, milliseconds))
        if result == -errno.EINTR:
            return 0  # a signal: whoever sent it decides what comes next
        if result < 0:
            raise refusal("listen to ring buffers", -result)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle:
            library().ring_buffer__free(self._handle)
            self._handle = 0
