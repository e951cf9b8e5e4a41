"""Where frames are delivered to, each behind a NIC of its own: taps, containers, sockets.

The same policy stands before all: of a tap and a veth that frames are redirected into, and of the
macvtap and the macvlan that one has otherwise.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measure import XDPCTL, run

from bench import cable
from bench.cable import NIC, STATION, WIRE
from bench.fleet import policy_lines
from bench.frames import DESTINATION, datagram
from bench.rules import PORT, passing
from bench.sender import BATCH, Sender
from bench.traffic import Datagrams
from xdpctl.bpf import links, maps, program
from xdpctl.bpf.asm import DW, R0, R1, R2, R3, Assembler
from xdpctl.datapath.ways_out import FN_REDIRECT_MAP
from xdpctl.host import netns, tap

ADDRESS: Final = "02:00:00:00:00:20"
IP4: Final = "10.77.0.20"
QUEUE: Final = 8192
"""Frames that a tap's queue has room for."""
TURN: Final = 4096
"""Frames that are sent before they are read: a tap's reader would be slower than either of them."""
KINDS: Final = {
    "tap": f'{{kind: tap, parent: {NIC}, deliver: redirect, address: "{ADDRESS}", '
    f"txqueuelen: {QUEUE}, ",
    "macvtap": f'{{kind: macvtap, parent: {NIC}, mode: bridge, address: "{ADDRESS}", '
    f"txqueuelen: {QUEUE}, ",
    "veth": f'{{kind: veth, peer: inside, parent: {NIC}, deliver: redirect, address: "{ADDRESS}", ',
    "macvlan": f'{{kind: macvlan, parent: {NIC}, mode: bridge, address: "{ADDRESS}", ',
}
DEVICE: Final = "dev0"


@dataclass
class Receiver:
    """A device behind a NIC, a sender at the other end of its cable, and who counts what arrives.

    room  where `arrived` counts
    """

    name: str
    room: str
    sender: Sender
    arrived: Callable[[], int]
    sent: int = 0

    def rate(self, frames: int) -> float:
        """Million frames a second, of those turns in which the sender is busy; all must arrive."""
        taken = 0.0
        for _ in range(frames // TURN):
            with netns.entered(self.room):
                before = self.arrived()
                taken += self.sender.send(TURN)
                found = _settled(self.arrived, before + TURN) - before
            if found != TURN:
                raise SystemExit(f"{self.name}: {TURN} frames were sent and {found} have arrived")
        self.sent += frames
        return 1e3 / (taken / (frames // TURN))


def _settled(counted: Callable[[], int], wanted: int) -> int:
    """The last ones may be on their way in another thread."""
    for _ in range(2000):
        if (found := counted()) >= wanted:
            break
    return found


@contextmanager
def _sending(name: str) -> Iterator[tuple[cable.Pair, Sender]]:
    """A host, and the sender to the device's address at the other end of the cable."""
    to = bytes.fromhex(ADDRESS.replace(":", ""))
    template = datagram(to, PORT, saddr=STATION, daddr=IP4)
    with cable.connected(f"{name}-{os.urandom(2).hex()}") as pair, ExitStack() as stack:
        with netns.entered(pair.station):
            sender = Sender(template, DESTINATION, [to] * BATCH, socket.if_nametoindex(WIRE))
        yield pair, stack.enter_context(sender)


@contextmanager
def _behind(kind: str, folder: Path) -> Iterator[tuple[cable.Pair, Sender]]:
    """The device with its policy, and the sender to its address."""
    name = f"to-{kind}"
    lines = [
        "version: 1", "name: delivering", "devices:", f"  {NIC}: {{kind: physical}}",
        f"  {DEVICE}: {KINDS[kind]}state: up, xdp: {{policy: web}}}}",
        "policies:", *policy_lines("web", passing((1, 2))),
    ]  # fmt: skip
    file = folder / f"{name}.yaml"
    file.write_text("\n".join(lines) + "\n", "ascii")
    with _sending(name) as (pair, sender):
        run(*XDPCTL, "--netns", pair.host, "apply", "--yes", str(file))
        yield pair, sender


class Queue:
    """The far end of a tap: who reads it counts."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._found = 0

    def __call__(self) -> int:
        """So far."""
        try:
            while os.read(self._descriptor, 2048):
                self._found += 1
        except BlockingIOError:
            pass
        return self._found

    def close(self) -> None:
        """Nobody reads any more."""
        os.close(self._descriptor)


@contextmanager
def queue(kind: str, folder: Path) -> Iterator[Receiver]:
    """A tap or a macvtap, read through its descriptor as a virtual machine would."""
    with _behind(kind, folder) as (pair, sender), netns.entered(pair.host):
        opened = _tap() if kind == "tap" else _macvtap(pair.host)
        with closing(Queue(opened)) as reader:
            reader()
            yield Receiver(kind, pair.host, sender, reader)


def _tap() -> int:
    descriptor = tap.opened("open tap")
    tap.attach(descriptor, DEVICE, tap.IFF_TAP | tap.IFF_NO_PI, "open tap")
    return descriptor


def _macvtap(host: str) -> int:
    """Its character device; sysfs shows the devices of the namespace that it is mounted in."""
    script = f"mount -t sysfs none /sys && cat /sys/class/net/{DEVICE}/tap*/dev"
    found = run("nsenter", f"--net=/run/netns/{host}", "unshare", "--mount", "sh", "-c", script)
    major, minor = map(int, found.stdout.split(":"))
    with tempfile.TemporaryDirectory(dir="/dev") as folder:
        node = Path(folder) / "tap"
        os.mknod(node, 0o20600, os.makedev(major, minor))
        descriptor = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    tap.attach(descriptor, DEVICE, tap.IFF_TAP | tap.IFF_NO_PI, "open macvtap")
    return descriptor


@contextmanager
def _room(kind: str, pair: cable.Pair) -> Iterator[tuple[str, str]]:
    """Where the frames arrive: the container of the veth's other end, or the macvlan's host."""
    if kind == "macvlan":
        cable.address(pair.host, DEVICE, IP4)
        yield pair.host, DEVICE
        return
    with cable.room(f"{pair.host}-in") as inside:
        cable.prepare(inside)
        run("ip", "-n", pair.host, "link", "set", "inside", "netns", inside)
        cable.address(inside, "inside", IP4)
        yield inside, "inside"


@contextmanager
def program_at(kind: str, folder: Path) -> Iterator[Receiver]:
    """A program at the device's own end that counts and drops: native where it can be."""
    mode = links.XDP_FLAGS_SKB_MODE if kind == "macvlan" else links.XDP_FLAGS_DRV_MODE
    with _behind(kind, folder) as (pair, sender), ExitStack() as stack:
        room, device = stack.enter_context(_room(kind, pair))
        counted = stack.enter_context(_counter(room, device, mode))
        yield Receiver(f"{kind} with a program", room, sender, counted)


@contextmanager
def lone_redirect() -> Iterator[Receiver]:
    """The same in a container into which a program without any policy redirects every frame: no
    way by XDP_REDIRECT can be faster.
    """
    with _sending("lone-redirect") as (pair, sender), ExitStack() as stack:
        enter = stack.enter_context
        cable.batch(pair.host, [
            f"link add {DEVICE} type veth peer name inside address {ADDRESS}",
            f"link set {DEVICE} up",
        ])  # fmt: skip
        room, device = enter(_room("veth", pair))
        counted = enter(_counter(room, device, links.XDP_FLAGS_DRV_MODE))
        devices = enter(maps.create(maps.MapType.DEVMAP, 4, 4, 1, "bench_devices"))
        loaded = enter(
            program.load(_redirecting(devices.fd), program.Flavour.XDP, "bench_redirect")
        )
        with netns.entered(pair.host):
            to, nic = socket.if_nametoindex(DEVICE), socket.if_nametoindex(NIC)
            devices.update(bytes(4), to.to_bytes(4, sys.byteorder))
            enter(links.create(loaded.fd, nic, links.Hook.XDP, links.XDP_FLAGS_DRV_MODE))
        yield Receiver("a lone redirect", room, sender, counted)


def _redirecting(devices: int) -> bytes:
    asm = Assembler()
    asm.map_fd(R1, devices)
    asm.mov(R2, 0)
    asm.mov(R3, 0)
    asm.call(FN_REDIRECT_MAP)
    asm.exit()
    return asm.assemble()


@contextmanager
def _counter(room: str, device: str, mode: int) -> Iterator[Callable[[], int]]:
    """A program at the device that counts and drops every frame; what it has counted."""
    with ExitStack() as stack:
        counted = stack.enter_context(maps.create(maps.MapType.ARRAY, 4, 8, 1, "bench_count"))
        loaded = stack.enter_context(
            program.load(_counting(counted.fd), program.Flavour.XDP, "bench_count")
        )
        with netns.entered(room):
            index = socket.if_nametoindex(device)
            stack.enter_context(links.create(loaded.fd, index, links.Hook.XDP, mode))
        yield lambda: _number(counted)


def _counting(counter: int) -> bytes:
    asm = Assembler()
    asm.map_value(R1, counter)
    asm.mov(R2, 1)
    asm.atomic_add(DW, R1, 0, R2)
    asm.mov(R0, 1)
    asm.exit()
    return asm.assemble()


def _number(counted: maps.Map) -> int:
    return int.from_bytes(counted.lookup(bytes(4)) or b"", sys.byteorder)


@contextmanager
def listening(kind: str, folder: Path) -> Iterator[Receiver]:
    """A UDP socket at the device's own end."""
    with _behind(kind, folder) as (pair, sender), ExitStack() as stack:
        room, _ = stack.enter_context(_room(kind, pair))
        with netns.entered(room):
            arrived = stack.enter_context(closing(Datagrams(IP4, PORT)))
        yield Receiver(f"{kind} with a socket", room, sender, arrived)
