"""A consumer of AF_XDP in a hundred lines: what a program with libxdp does, by system calls alone.

    with Consumer("eth0") as consumer:      # in eth0's network namespace
        consumer.enter(map_of_the_sockets)  # from now on its frames come here
        consumer.frames()

Packet memory (UMEM) is shared with the kernel: chunks of 2 KiB. Their numbers go round in rings,
each an array with a producer's and a consumer's counter in shared memory: the fill ring gives empty
chunks to the kernel, the RX ring brings full ones back. Copy mode: works with every driver.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from xdpctl.bpf.maps import Map
from xdpctl.datapath.layout import INDEX

# include/uapi/linux/if_xdp.h
AF_XDP, SOL_XDP = 44, 283
MMAP_OFFSETS, RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 1, 2, 4, 5, 6
PLACE = {RX_RING: 0, FILL_RING: 0x1_0000_0000}
"""Where in the socket's "file" a ring is mapped from."""
XDP_COPY = 1 << 1
UMEM = struct.Struct("=QQIIII")
"""struct xdp_umem_reg: address, length, chunk size, headroom, flags, and padding."""
ADDRESS = struct.Struct("=HHIII")
"""struct sockaddr_xdp: family, flags, ifindex, queue, whose memory is shared."""
DESCRIPTOR = struct.Struct("=QII")
"""struct xdp_desc, an element of the RX ring: place in the memory, length, options."""
CHUNK, CHUNKS = 2048, 64


@dataclass(frozen=True)
class Ring:
    """A ring in shared memory: where its counters and its elements are."""

    memory: mmap.mmap
    producer: int
    consumer: int
    elements: int

    def read(self, counter: int) -> int:
        return int(struct.unpack_from("=I", self.memory, counter)[0])

    def write(self, counter: int, value: int) -> None:
        struct.pack_into("=I", self.memory, counter, value & 0xFFFF_FFFF)


class Consumer:
    """A socket with memory of its own, bound to a device's receive queue."""

    def __init__(self, device: str, queue: int = 0) -> None:
        self._socket = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        self._memory = mmap.mmap(-1, CHUNK * CHUNKS)
        at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        area = UMEM.pack(at, CHUNK * CHUNKS, CHUNK, 0, 0, 0)
        self._socket.setsockopt(SOL_XDP, UMEM_REG, area)
        for ring in (FILL_RING, COMPLETION_RING, RX_RING):
            self._socket.setsockopt(SOL_XDP, ring, CHUNKS)
        # Four times producer, consumer, elements, flags: of RX, TX, fill, completion.
        offsets = struct.unpack("=16Q", self._socket.getsockopt(SOL_XDP, MMAP_OFFSETS, 128))
        self._received = self._ring(RX_RING, offsets[:4], DESCRIPTOR.size)
        self._fill = self._ring(FILL_RING, offsets[8:12], 8)
        for number in range(CHUNKS):
            self._give(number * CHUNK)
        self._bind(socket.if_nametoindex(device), queue)

    def _ring(self, which: int, offsets: tuple[int, ...], size: int) -> Ring:
        producer, consumer, elements, _ = offsets
        memory = mmap.mmap(
            self._socket.fileno(), elements + CHUNKS * size, flags=mmap.MAP_SHARED,
            offset=PLACE[which],
        )  # fmt: skip
        return Ring(memory, producer, consumer, elements)

    def _bind(self, ifindex: int, queue: int) -> None:
        """The socket module does not know such addresses."""
        address = ADDRESS.pack(AF_XDP, XDP_COPY, ifindex, queue, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.bind(self._socket.fileno(), address, len(address)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def enter(self, sockets: Map, queue: int = 0) -> None:
        """Put the socket into the map that a program redirects to; the map gives it up itself when
        the socket is closed.
        """
        sockets.update(INDEX.pack(queue), INDEX.pack(self._socket.fileno()))

    def frames(self) -> list[bytes]:
        """What has come since the last call."""
        found = []
        ring = self._received
        while (at := ring.read(ring.consumer)) != ring.read(ring.producer):
            where = ring.elements + at % CHUNKS * DESCRIPTOR.size
            place, length, _ = DESCRIPTOR.unpack_from(ring.memory, where)
            found.append(self._memory[place : place + length])
            ring.write(ring.consumer, at + 1)
            self._give(place // CHUNK * CHUNK)
        return found

    def _give(self, place: int) -> None:
        """An empty chunk for the kernel."""
        ring = self._fill
        at = ring.read(ring.producer)
        struct.pack_into("=Q", ring.memory, ring.elements + at % CHUNKS * 8, place)
        ring.write(ring.producer, at + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
