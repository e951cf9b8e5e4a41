"""Frames, and the sender that puts them on a wire by the million.

The sender is an XDP program that the kernel runs on frames of its own making (BPF_PROG_TEST_RUN
with BPF_F_TEST_XDP_LIVE_FRAMES, 5.18): it writes the next of the listed values into the frame and
redirects it into one end of a veth, out of whose other end it comes as if from a wire.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from typing import Final, Self

from bench.workload import ADDRESS, Value
from xdpctl.bpf import maps, program
from xdpctl.bpf.asm import DW, R0, R1, R2, R3, R6, R7, R8, Assembler, H, W
from xdpctl.bpf.libbpf import TestRunOpts, call

LENGTH: Final = 60
"""Bytes of a frame: the smallest of Ethernet, without its checksum."""
_SADDR, _DPORT = 26, 36
BATCH: Final = 64
"""Frames that are made at once. Counts are multiples of it."""
_LIVE_FRAMES = 1 << 1
_FN_KTIME_GET_NS, _FN_REDIRECT_MAP = 5, 51
XDP_ABORTED = 0
_DATA, _DATA_END = 0, 4
_SAMPLE = struct.Struct("=4sH2x")
_STATE = struct.Struct("=QQQ")  # frames so far, time of the first and of the last batch
_SYN = 2


def frame(value: Value) -> bytes:
    """A TCP connection's first segment: nobody merges it with another (GRO)."""
    saddr, dport = value
    tcp = struct.pack("!HHIIBBHHH", 40000, dport, 1, 0, 5 << 4, _SYN, 1024, 0, 0)
    ip = struct.pack(
        "!BBHHHBBHI4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, saddr,
        socket.inet_aton("192.0.2.1"),
    )  # fmt: skip
    addresses = bytes.fromhex((ADDRESS + "02:00:00:00:00:01").replace(":", ""))
    return (addresses + b"\x08\x00" + ip + tcp).ljust(LENGTH, b"\0")


class Sender:
    """Sends frames with these values in turn to a device of the namespace that we are in."""

    def __init__(self, values: list[Value], ifindex: int) -> None:
        self._frame = frame(values[0])
        self._sent = 0
        room = 1 << (len(values) - 1).bit_length()
        packed = b"".join(
            _SAMPLE.pack(saddr.to_bytes(4), socket.htons(dport)) for saddr, dport in values
        )
        array, width = maps.MapType.ARRAY, 8 * room
        self._state = maps.create(array, 4, _STATE.size, 1, "bench_state")
        # What is closed here lives on in the program that names it.
        with (
            maps.create(array, 4, width, 1, "bench_values") as listed,
            maps.create(maps.MapType.DEVMAP, 4, 4, 1, "bench_wire") as wire,
        ):
            listed.update(bytes(4), (packed * 2)[:width])
            wire.update(bytes(4), ifindex.to_bytes(4, sys.byteorder))
            code = _instructions(listed.fd, self._state.fd, wire.fd, room)
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


def _instructions(listed_fd: int, state_fd: int, wire_fd: int, room: int) -> bytes:
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
    asm.load(W, R1, R2, 0)
    asm.store(W, R6, _SADDR, R1)
    asm.load(H, R1, R2, 4)
    asm.store(H, R6, _DPORT, R1)
    asm.map_fd(R1, wire_fd)
    asm.mov(R2, 0)
    asm.mov(R3, XDP_ABORTED)
    asm.call(_FN_REDIRECT_MAP)
    asm.exit()
    asm.label("short")
    asm.mov(R0, XDP_ABORTED)
    asm.exit()
    return asm.assemble()
