"""The sender that puts frames on a wire by the million.

It is an XDP program that the kernel runs on frames of its own making (BPF_PROG_TEST_RUN with
BPF_F_TEST_XDP_LIVE_FRAMES, 5.18): it writes the next of the listed values into the frame and
redirects it into one end of a veth, out of whose other end it comes as if from a wire.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from bench.frames import LENGTH
from xdpctl.bpf import maps, program
from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R6, R7, R8, Assembler, H, Size, W
from xdpctl.bpf.libbpf import TestRunOpts, call

BATCH: Final = 64
"""Frames that are made at once. Counts are multiples of it."""
_LIVE_FRAMES = 1 << 1
_FN_KTIME_GET_NS, _FN_REDIRECT_MAP = 5, 51
XDP_ABORTED = 0
_DATA, _DATA_END = 0, 4
_STATE = struct.Struct("=QQQ")  # frames so far, time of the first and of the last batch
_WIDTH = 8
"""Bytes that a value has room for."""
_BYTES = {H: 2, W: 4}
_PATIENCE = 2.0

Places = Sequence[tuple[int, Size]]
"""Where the parts of a value go in the frame, one behind the other."""


class Sender:
    """Sends a frame with these values in turn to a device of the namespace that we are in."""

    def __init__(
        self, template: bytes, places: Places, values: Sequence[bytes], ifindex: int
    ) -> None:
        self._frame = template
        self._sent = 0
        room = 1 << (len(values) - 1).bit_length()
        packed = b"".join(value.ljust(_WIDTH, b"\0") for value in values)
        array, width = maps.MapType.ARRAY, _WIDTH * room
        self._state = maps.create(array, 4, _STATE.size, 1, "bench_state")
        # What is closed here lives on in the program that names it.
        with (
            maps.create(array, 4, width, 1, "bench_values") as listed,
            maps.create(maps.MapType.DEVMAP, 4, 4, 1, "bench_wire") as wire,
        ):
            listed.update(bytes(4), (packed * 2)[:width])
            wire.update(bytes(4), ifindex.to_bytes(4, sys.byteorder))
            code = _instructions(listed.fd, self._state.fd, wire.fd, room, places)
            self._program = program.load(code, program.Flavour.XDP, "bench_sender")

    def send(self, count: int) -> float:
        """Send so many frames, some batches; nanoseconds a frame between the first and the last.

        A batch goes all the way before the next one starts, in the same thread. What the kernel
        takes to begin and to end (20 ms of waiting) is not in it.
        """
        self._state.update(bytes(4), _STATE.pack(self._sent, 0, 0))
        options = TestRunOpts(
            sz=ctypes.sizeof(TestRunOpts),
            data_in=ctypes.cast(ctypes.c_char_p(self._frame), ctypes.c_void_p),
            data_size_in=len(self._frame),
            repeat=count,
            flags=_LIVE_FRAMES,
            batch_size=BATCH,
        )
        call(
            "bpf_prog_test_run_opts", self._program.fd, ctypes.byref(options),
            operation="send live frames",
        )  # fmt: skip
        self._sent, first, last = _STATE.unpack(self._state.lookup(bytes(4)) or b"")
        return float((last - first) / (count - BATCH))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.close()
        self._state.close()


def nanoseconds(sender: Sender, count: int, counted: Callable[[], int], who: str) -> float:
    """A frame's way from the wire to its counter. All that are sent must have been counted."""
    before = counted()
    taken = sender.send(count)
    deadline = time.perf_counter() + _PATIENCE
    while (arrived := counted() - before) < count and time.perf_counter() < deadline:
        pass  # the last ones are still on their way in another thread (ksoftirqd)
    if arrived != count:
        raise SystemExit(f"{who}: {count} frames were sent and {arrived} counted")
    return taken


def _instructions(listed_fd: int, state_fd: int, wire_fd: int, room: int, places: Places) -> bytes:
    """R6 data, R7 the state, R8 the number of the frame."""
    asm = Assembler()
    asm.load(W, R6, R1, _DATA)
    asm.load(W, R3, R1, _DATA_END)
    asm.mov(R2, R6)
    asm.add(R2, LENGTH)
    asm.jump(">", R2, R3, "short")
    asm.map_value(R7, state_fd)
    asm.load(DW, R8, R7, 0)
    asm.mov(R1, R8)
    asm.add(R1, 1)
    asm.store(DW, R7, 0, R1)
    asm.jump("&", R8, BATCH - 1, "write")
    asm.call(_FN_KTIME_GET_NS)
    asm.store(DW, R7, 16, R0)
    asm.load(DW, R1, R7, 8)
    asm.jump("!=", R1, 0, "write")
    asm.store(DW, R7, 8, R0)
    asm.label("write")
    asm.and_(R8, room - 1)
    asm.lsh(R8, 3)
    asm.map_value(R2, listed_fd)
    asm.add(R2, R8)
    at = 0
    for offset, size in places:
        asm.load(size, R1, R2, at)
        asm.store(size, R6, offset, R1)
        at += _BYTES[size]
    asm.map_fd(R1, wire_fd)
    asm.mov(R2, 0)
    asm.mov(R3, XDP_ABORTED)
    asm.call(_FN_REDIRECT_MAP)
    asm.exit()
    asm.label("short")
    asm.mov(R0, XDP_ABORTED)
    asm.exit()
    return asm.assemble()
