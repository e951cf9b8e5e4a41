"""Three veth pairs of one kind in a namespace, one a contender: frames go in at `wireN`."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from measure import namespace, run

from bench.frames import Sender
from xdpctl.host import netns

DEVICES: Final = {"xdpctl": 0, "C": 1, "nft": 2}
"""Contender → number of its pair."""
_IP6 = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_SIOCETHTOOL, _SET_GRO = 0x8946, 0x2C
_PATIENCE = 2.0


@contextmanager
def wires() -> Iterator[str]:
    """The namespace's name; this thread is in it. Nothing there sends frames of its own accord."""
    with namespace("policy") as name, netns.entered(name):
        if _IP6.exists():
            _IP6.write_text("1", "ascii")
        for number in DEVICES.values():
            nic, wire = f"eth{number}", f"wire{number}"
            if number:
                run("ip", "link", "add", nic, "type", "veth", "peer", "name", wire)
                run("ip", "link", "set", wire, "up")
                run("ip", "link", "set", nic, "up")
        # A veth takes redirected frames while its other end has a program, or GRO.
        _gro_on(f"eth{DEVICES['nft']}")
        yield name


def wire(contender: str) -> int:
    """The ifindex of the end that frames for the contender go into."""
    return socket.if_nametoindex(f"wire{DEVICES[contender]}")


def nic(contender: str) -> int:
    """The ifindex of the end where the contender's rules are."""
    return socket.if_nametoindex(f"eth{DEVICES[contender]}")


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


def _gro_on(device: str) -> None:
    wanted = array("I", [_SET_GRO, 1])
    request = struct.pack("16sP16x", device.encode(), wanted.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
