"""What ethtool does, by its ioctl: a veth's statistics, and its GRO."""

from __future__ import annotations

import fcntl
import socket
import struct
from array import array
from typing import Final, Self

_SIOCETHTOOL: Final = 0x8946
_SET_GRO, _GET_STRINGS, _GET_STATISTICS, _GET_SIZES = 0x2C, 0x1B, 0x1D, 0x37
_STATISTICS: Final = 1  # ETH_SS_STATS
_STRING: Final = 32  # ETH_GSTRING_LEN


def enable_gro(device: str) -> None:
    """A veth takes redirected frames while its other end has a program, or GRO."""
    with _opened() as channel:
        _ask(channel, device, bytearray(struct.pack("=II", _SET_GRO, 1)))


class Drops:
    """The driver's own count of what XDP has dropped on a device of the namespace we are in."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._channel = _opened()
        sizes = bytearray(struct.pack("=IIQI", _GET_SIZES, 0, 1 << _STATISTICS, 0))
        self._size = struct.unpack_from("=I", _ask(self._channel, device, sizes), 16)[0]
        head = struct.pack("=III", _GET_STRINGS, _STATISTICS, self._size)
        names = _ask(self._channel, device, bytearray(head + bytes(_STRING * self._size)))[12:]
        self._places = [
            index
            for index in range(self._size)
            if names[index * _STRING :].partition(b"\0")[0].endswith(b"_xdp_drops")
        ]
        if not self._places:
            raise SystemExit(f"the driver of {device} does not count what XDP drops")

    def __call__(self) -> int:
        """So far, of all queues."""
        request = bytearray(struct.pack("=II", _GET_STATISTICS, self._size) + bytes(8 * self._size))
        values = struct.unpack_from(
            f"={self._size}Q", _ask(self._channel, self._device, request), 8
        )
        return sum(values[place] for place in self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def _opened() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _ask(channel: socket.socket, device: str, request: bytearray) -> bytes:
    room = array("B", request)
    fcntl.ioctl(channel, _SIOCETHTOOL,
                struct.pack("16sP16x", device.encode(), room.buffer_info()[0]))  # fmt: skip
    return room.tobytes()
