"""Containers on the rig's NIC: namespaces in which all that arrives is counted by port."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.kernel.conftest import Netns
from tests.kernel.rig import SO_RCVBUFFORCE, Rig, raw_socket, udp_frame

EVERYWHERE, NOBODY = "255.255.255.255", "0.0.0.0"
"""Addresses with which a datagram is taken on a device that has no address yet."""
PORTS = (9000, 9001)


@dataclass
class Container:
    """A namespace with sockets for the ports, bound to no device: those come and go."""

    netns: Netns
    receivers: dict[int, socket.socket] = field(default_factory=dict)
    senders: dict[str, socket.socket] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the namespace is called."""
        return self.netns.name

    def connect(self) -> None:
        """Be quiet, and listen."""
        self.netns.without_ipv6()
        with self.netns.entered():
            for port in PORTS:
                made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
                made.bind(("0.0.0.0", port))
                made.setblocking(False)
                self.receivers[port] = made

    def send(self, device: str, to: str, port: int, count: int = 5) -> None:
        """Send datagrams by a device of the container."""
        if device not in self.senders:
            with self.netns.entered():
                self.senders[device] = raw_socket(device)
        for _ in range(count):
            self.senders[device].send(frame(to, port))

    def received(self) -> dict[int, int]:
        """What arrived since the last call, by port, without zeros."""
        found: Counter[int] = Counter()
        for port, receiver in self.receivers.items():
            while True:
                try:
                    receiver.recv(2048)
                except BlockingIOError:
                    break
                found[port] += 1
        return dict(found)

    def links(self) -> dict[str, Any]:
        """Its devices by name, but for the loopback one."""
        return {one["ifname"]: one for one in self.netns.json("link") if one["ifname"] != "lo"}

    def close(self) -> None:
        """Close the sockets."""
        for each in (*self.receivers.values(), *self.senders.values()):
            each.close()


@dataclass
class Yard:
    """The rig and its containers."""

    rig: Rig
    make: Callable[[], Netns]
    containers: list[Container] = field(default_factory=list)

    def container(self) -> Container:
        """One more."""
        made = Container(self.make())
        made.connect()
        self.containers.append(made)
        return made

    def send(self, to: str, port: int, count: int = 5) -> None:
        """Send datagrams from the wire."""
        for _ in range(count):
            self.rig.senders["wire"].send(frame(to, port))

    def received(self) -> list[dict[int, int]]:
        """What arrived in each container since the last call."""
        time.sleep(0.1)  # macvlan's broadcast queue is a work item
        return [each.received() for each in self.containers]


def frame(to: str, port: int) -> bytes:
    """A datagram that every host takes."""
    return udp_frame(to, port, daddr=EVERYWHERE, saddr=NOBODY)
