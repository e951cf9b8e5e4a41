"""The demo's wire: two throw-away network namespaces, raw frames, and where they arrive."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from xdpctl.errors import KernelError, MissingError, NotPermitted
from xdpctl.host.netns import entered
from xdpctl.record import record

ADDRESSES = {
    "peer": "02:00:00:00:00:01",
    "web0": "02:00:00:00:00:10",
    "dns0": "02:00:00:00:00:20",
    "everybody": "ff:ff:ff:ff:ff:ff",
}

_SETTLED = 0.1  # seconds after which a frame on a veth has long arrived
_ETH_P_IP = 0x0800
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; python has no name for it
_REFUSALS = ("Operation not permitted", "Permission denied")
"""EPERM and EACCES as ip(8) tells them, which exits 1 or 2 whatever the reason."""
_PROTOCOLS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}


@record
class Frame:
    """What a frame carries: `tcp` or `udp`, and to which port."""

    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.port}"

    def to(self, address: str) -> bytes:
        """The frame from the peer to a MAC: Ethernet, IPv4, and a TCP (SYN) or UDP header."""
        ethernet = _mac(address) + _mac(ADDRESSES["peer"]) + _ETH_P_IP.to_bytes(2)
        if self.protocol == "tcp":
            number = socket.IPPROTO_TCP
            header = struct.pack("!HHIIBBHHH", 51000, self.port, 1, 0, 5 << 4, 2, 65535, 0, 0)
        else:
            number = socket.IPPROTO_UDP
            header = struct.pack("!HHHH", 51000, self.port, 8, 0)
        hosts = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2")
        length = 20 + len(header)
        return (
            ethernet + struct.pack("!BBHIBBH", 0x45, 0, length, 0, 64, number, 0) + hosts + header
        )


class Sender:
    """Puts frames on a device of a namespace."""

    def __init__(self, device: str, namespace: str) -> None:
        with entered(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((device, 0))

    def send(self, frame: bytes, times: int) -> None:
        """Send a frame some times."""
        for _ in range(times):
            self._socket.send(frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Receiver:
    """Counts the frames that a device hands to the network stack, by what they carry."""

    def __init__(self, device: str, namespace: str) -> None:
        with entered(namespace):
            # Bound to one protocol, a packet socket stands behind tc ingress (a sniffer, bound to
            # all, stands before it): what comes here has passed everything.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 26)
        self._socket.bind((device, _ETH_P_IP))
        self._socket.setblocking(False)

    def arrived(self) -> Counter[Frame]:
        """What has arrived since the last call."""
        time.sleep(_SETTLED)
        frames: Counter[Frame] = Counter()
        try:
            while True:
                data = self._socket.recv(2048)
                frames[Frame(_PROTOCOLS[data[23]], int.from_bytes(data[36:38]))] += 1
        except BlockingIOError:
            return frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@record
class Wire:
    """A host's namespace with the NIC `eth0`, and the sender at the other end of its cable."""

    host: str
    peer: Sender


@contextmanager
def wire() -> Iterator[Wire]:
    """Two namespaces with a veth pair between them for a cable; gone when the block ends."""
    if os.geteuid() != 0:
        raise NotPermitted("the demo makes network namespaces", hint="run it as root")
    host, peer = (f"xdpctl-demo-{os.getpid()}-{side}" for side in ("host", "peer"))
    try:
        for name in (host, peer):
            _ip(f"netns add {name}")
            with entered(name):  # or IPv6 would send multicast of its own accord
                Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", "ascii")
        _ip(f"link add eth0 netns {host} type veth peer name eth0 netns {peer}")
        for name in (host, peer):
            _ip(f"-n {name} link set eth0 up")
        with Sender("eth0", peer) as sender:
            yield Wire(host, sender)
    finally:
        for name in (host, peer):
            if Path("/run/netns", name).exists():
                _ip(f"netns delete {name}")


def _ip(arguments: str) -> None:
    """Run iproute2's `ip`."""
    try:
        subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingError("there is no command ip", hint="apt-get install iproute2") from None
    except subprocess.CalledProcessError as error:
        operation, reason = f"ip {arguments}", error.stderr.strip()
        if any(words in reason for words in _REFUSALS):
            hint = "run it as root, with all capabilities"
            raise NotPermitted(f"{operation}: {reason}", hint=hint) from None
        raise KernelError(operation, 0, reason) from error


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
