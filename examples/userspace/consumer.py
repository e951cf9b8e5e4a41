#!/usr/bin/env python3
"""Takes the frames that rules with `action: {userspace: NAME}` hand over; prints one a line.

    consumer.py capture                                 # until Ctrl-C
    consumer.py capture --netns lab --count 10 --seconds 60

A line is DEVICE, QUEUE, LENGTH and the frame in hexadecimal. It needs Python and libbpf.so.1.
README.md tells how it works.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

PINS = Path("/sys/fs/bpf/xdpctl")

# include/uapi/linux/if_xdp.h
AF_XDP, SOL_XDP = 44, 283
MMAP_OFFSETS, RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING, STATISTICS, OPTIONS = (
    1, 2, 4, 5, 6, 7, 8,
)  # fmt: skip
PLACE = {RX_RING: 0, FILL_RING: 0x1_0000_0000}
"""From where in the socket's "file" a ring is mapped."""
COPY, ZERO_COPY = 1 << 1, 1 << 0
"""A flag of the address to bind to (XDP_COPY), one of the options afterwards."""
UMEM = struct.Struct("=QQIIII")
"""struct xdp_umem_reg: address, length, chunk size, headroom, flags, and padding."""
ADDRESS = struct.Struct("=HHIII")
"""struct sockaddr_xdp: family, flags, ifindex, queue, whose memory is shared."""
DESCRIPTOR = struct.Struct("=QII")
"""struct xdp_desc, an element of the RX ring: place in the memory, length, options."""
CHUNK, CHUNKS = 4096, 256
"""A frame takes one chunk, less 256 bytes; both rings have room for all chunks: 1 MiB a queue."""

BPF_NOEXIST = 1
CLONE_NEWNET = 0x4000_0000
SIOCETHTOOL, ETHTOOL_GCHANNELS = 0x8946, 0x3C

LIBC = ctypes.CDLL(None, use_errno=True)


def called(result: int, what: str) -> int:
    """The result of a C function, unless it is negative: then its errno as an OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


@dataclass(frozen=True)
class Ring:
    """A ring in memory that is shared with the kernel: places of its counters and elements.

    Who writes an element moves the counter on afterwards. Nothing orders the two for other CPUs
    but the time that Python takes and, on x86, the processor: in C they need barriers.
    """

    memory: mmap.mmap
    producer: int
    consumer: int
    elements: int

    def read(self, counter: int) -> int:
        """A counter: it counts on for ever, modulo 2**32."""
        return int(struct.unpack_from("=I", self.memory, counter)[0])

    def write(self, counter: int, value: int) -> None:
        """Move a counter on."""
        struct.pack_into("=I", self.memory, counter, value & 0xFFFF_FFFF)


class Consumer:
    """An AF_XDP socket with memory of its own, bound to one receive queue of a device.

    The memory (UMEM) is cut into chunks. Their places go round in rings: the fill ring gives empty
    chunks to the kernel, the RX ring brings full ones back.
    """

    def __init__(self, device: str, queue: int = 0, *, copy: bool = False) -> None:
        self.device, self.queue = device, queue
        self._socket = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        self._memory = mmap.mmap(-1, CHUNK * CHUNKS)
        at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        area = UMEM.pack(at, CHUNK * CHUNKS, CHUNK, 0, 0, 0)
        self._socket.setsockopt(SOL_XDP, UMEM_REG, area)
        for ring in (FILL_RING, COMPLETION_RING, RX_RING):  # bind wants the second, too
            self._socket.setsockopt(SOL_XDP, ring, CHUNKS)
        # Four times producer, consumer, elements, flags: of RX, TX, fill, completion.
        offsets = struct.unpack("=16Q", self._socket.getsockopt(SOL_XDP, MMAP_OFFSETS, 128))
        self._received = self._ring(RX_RING, offsets[:4], DESCRIPTOR.size)
        self._fill = self._ring(FILL_RING, offsets[8:12], 8)
        for number in range(CHUNKS):
            self._give(number * CHUNK)
        # The socket module does not know such addresses.
        flags = COPY if copy else 0
        address = ADDRESS.pack(AF_XDP, flags, socket.if_nametoindex(device), queue, 0)
        where = f"bind to {device} queue {queue}"
        called(LIBC.bind(self.fileno(), address, len(address)), where)

    def _ring(self, which: int, offsets: tuple[int, ...], size: int) -> Ring:
        producer, consumer, elements, _ = offsets
        length = elements + CHUNKS * size
        memory = mmap.mmap(self.fileno(), length, flags=mmap.MAP_SHARED, offset=PLACE[which])
        return Ring(memory, producer, consumer, elements)

    def _give(self, place: int) -> None:
        """An empty chunk for the kernel."""
        ring = self._fill
        at = ring.read(ring.producer)
        struct.pack_into("=Q", ring.memory, ring.elements + at % CHUNKS * 8, place)
        ring.write(ring.producer, at + 1)

    def enter(self, pin: Path) -> None:
        """Put the socket into the pinned map, by its queue: from now on frames come here.

        The map gives the socket up by itself when that is closed. Raises FileExistsError if
        somebody else's socket is in that place.
        """
        libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
        sockets = called(libbpf.bpf_obj_get(os.fsencode(pin)), str(pin))
        try:
            key, value = ctypes.c_uint32(self.queue), ctypes.c_uint32(self.fileno())
            done = libbpf.bpf_map_update_elem(
                sockets, ctypes.byref(key), ctypes.byref(value), ctypes.c_uint64(BPF_NOEXIST)
            )
            called(done, f"{pin} queue {self.queue}")
        finally:
            os.close(sockets)

    def frames(self) -> Iterator[bytes]:
        """What has come since the last call; each frame's chunk goes back to the kernel."""
        ring = self._received
        first = ring.read(ring.consumer)
        # No more than that: frames can come faster than Python takes them.
        for at in range(first, first + ((ring.read(ring.producer) - first) & 0xFFFF_FFFF)):
            where = ring.elements + at % CHUNKS * DESCRIPTOR.size
            place, length, _ = DESCRIPTOR.unpack_from(ring.memory, where)
            frame = self._memory[place : place + length]
            ring.write(ring.consumer, at + 1)
            self._give(place // CHUNK * CHUNK)
            yield frame

    @property
    def zero_copy(self) -> bool:
        """Whether the NIC writes into our memory itself; else the kernel copies each frame."""
        found = struct.unpack("=I", self._socket.getsockopt(SOL_XDP, OPTIONS, 4))
        return bool(found[0] & ZERO_COPY)

    @property
    def lost(self) -> int:
        """Frames that were for this socket and did not get in: too long, or no room."""
        # struct xdp_statistics: too long, invalid (2), RX ring full, fill ring empty, TX empty
        found = struct.unpack("=6Q", self._socket.getsockopt(SOL_XDP, STATISTICS, 48))
        return int(found[0] + found[3])

    def fileno(self) -> int:
        """The socket's descriptor, for poll and the map."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the map and free the queue."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def queues(device: str) -> int:
    """How many receive queues a device has (`ethtool -l`); 1 where its driver does not tell."""
    channels = ctypes.create_string_buffer(struct.pack("=9I", ETHTOOL_GCHANNELS, *[0] * 8))
    request = struct.pack("=16sQ16x", device.encode(), ctypes.addressof(channels))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return 1
    *_, receive, _transmit, _other, combined = struct.unpack("=9I", channels.raw[:36])
    return max(1, int(receive + combined))


def enter_namespace(name: str) -> None:
    """Enter a network namespace, and that alone: `ip netns exec` would hide the pins."""
    with open(f"/run/netns/{name}", "rb") as opened:
        called(LIBC.setns(opened.fileno(), CLONE_NEWNET), f"enter network namespace {name}")


def signalled() -> int:
    """A descriptor that can be read once Ctrl-C or SIGTERM has asked for the end.

    An exception could come between a frame's line and its count. The second signal is not waited
    for: it ends a program that is stuck, as in writing to a pager.
    """
    reading, writing = os.pipe()

    def tell(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.write(writing, b"\0")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    return reading


def come(consumers: list[Consumer], until: float, end: int) -> Iterator[tuple[Consumer, bytes]]:
    """Frames as they come by any of the sockets.

    Until a time (of time.monotonic()), or the descriptor `end` can be read: what has come by then
    still is among them.
    """
    waiting = select.poll()
    for each in (end, *consumers):
        waiting.register(each, select.POLLIN)
    ended = False
    while not ended and (left := until - time.monotonic()) > 0:
        ended = end in dict(waiting.poll(min(left, 3600) * 1000))
        for consumer in consumers:
            for frame in consumer.frames():
                yield consumer, frame


def consume(given: argparse.Namespace, end: int) -> None:
    """Listen on every queue of every root that has a map of this name, as long as asked."""
    if given.netns:
        enter_namespace(given.netns)
    found = (PINS / (given.netns or "host")).glob(f"{given.topology}/userspace-{given.name}@*")
    pins = sorted(found)
    if not pins:
        raise FileNotFoundError(
            f"no map userspace-{given.name}@ROOT below {PINS}: has the topology been applied?"
        )
    with ExitStack() as stack:
        consumers = []
        for pin in pins:
            device = pin.name.partition("@")[2]
            for queue in range(queues(device)):
                consumer = stack.enter_context(Consumer(device, queue, copy=given.copy))
                consumer.enter(pin)
                consumers.append(consumer)
                how = "zero copy" if consumer.zero_copy else "copy"
                say(f"listening on {device} queue {queue} ({how})")
        got = 0
        coming = come(consumers, time.monotonic() + given.seconds, end)
        for consumer, frame in islice(coming, given.count):
            line = f"{consumer.device} {consumer.queue} {len(frame)} {frame.hex()}\n"
            sys.stdout.write(line)
            sys.stdout.flush()
            got += 1
        say(f"{got} frames, {sum(consumer.lost for consumer in consumers)} lost")


def say(text: str) -> None:
    """A line for who watches, apart from the frames."""
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """0, or 1 and a sentence on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="as in `action: {userspace: NAME}`")
    parser.add_argument("--netns", help="the network namespace that the topology is in")
    parser.add_argument("--topology", default="*", help="of this topology only")
    parser.add_argument("--count", type=int, help="end after so many frames")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long")
    parser.add_argument("--copy", action="store_true", help="do not even try zero copy")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as `| head` ends any other program
    try:
        consume(parser.parse_args(), signalled())
    except OSError as error:
        sys.stderr.write(f"consumer.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
