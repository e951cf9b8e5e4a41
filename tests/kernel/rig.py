"""A NIC with a wire: frames go in at the far end and are counted where they arrive.

The NIC is one end of a veth in a namespace of its own, the wire the other end in a second one.
Devices are made by applying a topology; UDP sockets bound to each device count what gets through
to a program's hands. Everything is bounded: some frames, no loops that wait for the network.
"""

from __future__ import annotations

import errno
import itertools
import json
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.kernel.conftest import Netns, eventually
from xdpctl.apply import run
from xdpctl.datapath.report import report
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

BROADCAST = "ff:ff:ff:ff:ff:ff"
MULTICAST = "01:00:5e:00:00:01"
STRANGER = "02:00:00:00:99:99"
"""A MAC that nobody here has."""
SENDER = "02:aa:aa:aa:aa:aa"
WEB, DB = "02:00:00:00:00:10", "02:00:00:00:00:11"
OPPOSITE = """\
version: 1
name: edge
devices:
  eth0: {kind: physical}
  web0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:10", state: up,
     xdp: {policy: web}}
  db0:
    {kind: macvlan, parent: eth0, mode: bridge, address: "02:00:00:00:00:11", state: up,
     xdp: {policy: db}}
policies:
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}
  db: {default: pass, rules: [{name: not, match: {udp.dport: 9000}, action: drop}]}
"""
"""Two macvlans on one NIC, at WEB and DB, with opposite policies."""
_READ: dict[tuple[str, str], Topology] = {}
PATIENCE = 30.0
"""Seconds until the kernel has looked at a carrier, at most: it looks at a hundred in a second."""
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
PAYLOAD = b"x" * 18


def udp_frame(
    to: str, port: int, *, daddr: str, saddr: str, source: str = SENDER, payload: bytes = PAYLOAD
) -> bytes:
    """An Ethernet frame with a UDP datagram: of 18 bytes it is 60, the smallest on a wire."""
    udp = struct.pack("!HHHH", 12345, port, 8 + len(payload), 0) + payload
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
        socket.inet_aton(saddr), socket.inet_aton(daddr),
    )  # fmt: skip
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    packet = header[:10] + struct.pack("!H", checksum) + header[12:] + udp
    addresses = bytes.fromhex((to + source).replace(":", ""))
    return addresses + b"\x08\x00" + packet


@dataclass
class Rig:
    """The two namespaces, the sockets that send, and those that count."""

    nic: Netns
    wire: Netns
    receivers: dict[tuple[str, int], socket.socket] = field(default_factory=dict)
    senders: dict[str, socket.socket] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def connect(self) -> None:
        """Make the NIC and its wire, in namespaces that send nothing by themselves."""
        self.quieten()
        self.nic.batch(
            f"link add eth0 type veth peer name wire netns {self.wire.name}",
            "link set eth0 address 02:00:00:00:00:01 up",
        )
        self.wire.up("wire")
        assert eventually(self.settled, PATIENCE)
        with self.wire.entered():
            self.senders["wire"] = raw_socket("wire")

    def settled(self) -> bool:
        """Whether all that is up takes frames, here and at the other end of the wire."""
        return self.nic.settled() and self.wire.settled()

    def add_nic(self) -> None:
        """Another NIC, eth1; its other end, far1, is beside it."""
        self.nic.batch(
            "link add eth1 type veth peer name far1", "link set eth1 up", "link set far1 up"
        )

    def quieten(self) -> None:
        """No frames but the test's own: no IPv6 on devices that there are and will be."""
        for netns in (self.nic, self.wire):
            netns.without_ipv6()

    def watch(self, netns: Netns, device: str) -> socket.socket:
        """A socket that sees what comes by at a device, from now on; closed with the others."""
        with netns.entered():
            seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        seen.bind((device, ETH_P_ALL))
        seen.setblocking(False)
        self.senders[f"seen {device}"] = seen
        return seen

    def apply(self, text: str, **options: Any) -> run.Applied:
        """Apply a topology in the NIC's namespace, and wait until its devices take frames."""
        topology = read(textwrap.dedent(text))
        with self.nic.entered():
            done = run.apply(topology, **options)
        assert eventually(self.settled, PATIENCE)
        return done

    def plan(self, text: str) -> Any:
        """What there is to do."""
        topology = read(textwrap.dedent(text))
        with self.nic.entered():
            return run.plan(topology)[0]

    def destroy(self, name: str = "edge") -> None:
        """Take the topology away."""
        with self.nic.entered():
            run.destroy(name, missing_ok=True)

    def show(self, name: str = "edge") -> dict[str, Any]:
        """The devices of the `show` document."""
        with self.nic.entered():
            observed = run.observe(name)
            document = report(observed.host, observed.live)
        devices: dict[str, Any] = json.loads(json.dumps(document))["devices"]
        return devices

    def listen(self, device: str, ports: tuple[int, ...] = (9000, 9001)) -> None:
        """Give the device an address of its own and count what reaches UDP ports on it."""
        if device not in self.addresses:
            self.addresses[device] = f"10.0.0.{10 + len(self.addresses)}"
            self.nic.address(device, self.addresses[device])
        with self.nic.entered():
            for port in ports:
                self.receivers[device, port] = _udp(device, port)
            self.senders[device] = raw_socket(device)

    def deafen(self) -> None:
        """Stop counting: the devices are about to go."""
        for receiver in self.receivers.values():
            receiver.close()
        self.receivers.clear()
        for device in self.addresses:
            self.senders.pop(device).close()

    def send(
        self, to: str, port: int, *, count: int = 5, by: str = "wire", for_: str = "", **more: Any
    ) -> None:
        """Send UDP frames to MAC `to`; `for_` names the device whose IP address they carry."""
        group = int(to[:2], 16) & 1
        address = "10.0.0.255" if group else self.addresses.get(for_, "10.0.0.200")
        # From an address that is nobody's: from a sibling's own the stack would not take it.
        frame = udp_frame(to, port, daddr=address, saddr="10.0.0.99", **more)
        for _ in range(count):
            self.senders[by].send(frame)

    def received(self) -> dict[tuple[str, int], int]:
        """What arrived since the last call, by device and port; nothing is left out but zeros."""
        time.sleep(0.1)  # the broadcast queue of macvlan is a work item
        found: Counter[tuple[str, int]] = Counter()
        for key, receiver in self.receivers.items():
            while True:
                try:
                    receiver.recv(2048)
                except BlockingIOError:
                    break
                found[key] += 1
        return dict(found)

    def close(self) -> None:
        """Close the sockets, take away what was applied."""
        for each in (*self.receivers.values(), *self.senders.values()):
            each.close()
        self.destroy()


class Traffic:
    """Frames sent steadily by a thread of its own while the test changes things.

    `steps` are (MAC, port, device) to be sent in turn; `sent` counts them afterwards.
    """

    def __init__(self, rig: Rig, steps: list[tuple[str, int, str]], pause: float = 0.0001) -> None:
        self.sent: Counter[tuple[str, int]] = Counter()
        self._rig, self._steps, self._pause = rig, steps, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for to, port, device in itertools.cycle(self._steps):
            if self._stop.is_set():
                return
            try:
                self._rig.send(to, port, count=1, for_=device)
            except OSError as error:  # the other end is down for a moment
                if error.errno not in (errno.ENOBUFS, errno.ENETDOWN):
                    raise
            else:
                self.sent[device, port] += 1
            time.sleep(self._pause)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def read(text: str, name: str = "topo.yaml") -> Topology:
    """The topology of a text; the same one if it was read before, which takes an emulated machine
    half a second. What it may name beside itself, sets or programs in files, is always read anew.
    """
    found = _READ.get((name, text))
    if found is None:
        found = load_texts({name: text})
        if not found.files:
            _READ[name, text] = found
    return found


def verdicts(device: dict[str, Any]) -> dict[str, int]:
    """Packets by verdict, zeros left out."""
    found = device["xdp"]["verdicts"]
    return {name: each["packets"] for name, each in found.items() if each["packets"]}


def rules(device: dict[str, Any]) -> dict[str, int]:
    """Packets by rule."""
    return {rule["name"]: rule["packets"] for rule in device["xdp"]["rules"]}


def raw_socket(device: str) -> socket.socket:
    """Sends whole frames on a device of the present namespace."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((device, 0))
    return made


def _udp(device: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    made.bind(("0.0.0.0", port))
    made.setblocking(False)
    return made


def pins(namespace: Netns) -> list[str]:
    """The pins that stand for a namespace."""
    root = Path("/sys/fs/bpf/xdpctl") / namespace.name
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []


def command(namespace: Netns, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command line."""
    return subprocess.run(
        [sys.executable, "-m", "xdpctl", "--netns", namespace.name, *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
