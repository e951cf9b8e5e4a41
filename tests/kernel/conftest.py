"""A throw-away network namespace for tests on a real kernel (they are marked `kernel`).

    def test_it(netns: Netns) -> None:
        netns.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
        with netns.entered():
            ...                       # this thread is in it, and sees the host's bpffs
        netns.run("ping", "-c1", "192.0.2.1")

It and all that was started in it are gone afterwards, whatever happened in between. `netnses`
makes more of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel import namespace
from xdpctl.bpf import pins
from xdpctl.host import netns as namespaces
from xdpctl.host.attributes import index, string
from xdpctl.host.decode import IFLA_INFO_KIND, IFLA_LINKINFO
from xdpctl.host.rtnl import IFINFOMSG, Rtnl

if TYPE_CHECKING:
    from tests.kernel.rig import Rig

NUMBERS = count()
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP, IFF_LOWER_UP = 1, 1 << 16
IFLA_OPERSTATE, IF_OPER_UP = 16, 6
CARRIED = frozenset({"veth", "macvlan", "macvtap", "bridge", "bond", "team", "vlan"})
"""Kinds whose carrier the kernel looks at."""
SIOCSIFADDR, SIOCSIFNETMASK = 0x8916, 0x891C


@dataclass(frozen=True, slots=True)
class Netns:
    """A network namespace by name."""

    name: str

    def ip(self, *arguments: str, check: bool = True) -> str:
        """Runs `ip -n NAME …`; what it printed. Fails the test with ip's own words."""
        done = subprocess.run(
            ["ip", "-n", self.name, *arguments], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def batch(self, *lines: str) -> None:
        """Runs many commands of ip at once; the first that fails fails the test."""
        subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines), text=True, check=True
        )

    def up(self, device: str) -> None:
        """Sets a device up. By itself: a process for each would take longer than most tests."""
        with self.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
            request = struct.pack("16sh22x", device.encode(), 0)
            (flags,) = struct.unpack_from("h", fcntl.ioctl(some, SIOCGIFFLAGS, request), 16)
            fcntl.ioctl(some, SIOCSIFFLAGS, struct.pack("16sh22x", device.encode(), flags | IFF_UP))

    def settled(self) -> bool:
        """Whether every device that is up and has a carrier takes frames: until the kernel has
        looked at its carrier, which it puts off by a second where many other devices wait for
        that, all that is sent is lost.
        """
        with self.entered(), Rtnl() as rtnl:
            return all(map(_takes_frames, rtnl.links()))

    def address(self, device: str, address: str, mask: str = "255.255.255.0") -> None:
        """Gives a device its IPv4 address, by itself as well."""
        with self.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
            for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
                known = struct.pack(
                    "16sH2x4s16x", device.encode(), socket.AF_INET, socket.inet_aton(value)
                )
                fcntl.ioctl(some, request, known)

    def without_ipv6(self) -> None:
        """No IPv6 on the devices that there are and will be: they send nothing by themselves."""
        with self.entered():
            for group in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{group}/disable_ipv6").write_text("1")

    def json(self, *arguments: str) -> Any:
        """Runs `ip -n NAME -d -j …`; what it printed, parsed."""
        return json.loads(self.ip("-d", "-j", *arguments) or "[]")

    def forwards(self, bridge: str) -> bool:
        """Whether a bridge passes frames between its ports: each waits for its carrier to be seen,
        which the kernel puts off by a second where many other devices wait for that.
        """
        ports = self.json("link", "show", "master", bridge)
        return {port["linkinfo"]["info_slave_data"]["state"] for port in ports} == {"forwarding"}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command in the network namespace, with the host's mounts (and so its bpffs)."""
        return subprocess.run(self.command(*command), capture_output=True, text=True, check=check)

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in it."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def makes(self, kind: str) -> bool:
        """Whether the kernel makes devices of this kind; a tap's way is not that of the others."""
        if kind == "tap":
            return Path("/dev/net/tun").exists()
        done = subprocess.run(
            ["ip", "-n", self.name, "link", "add", "probe0", "type", kind],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not done.returncode:
            self.ip("link", "delete", "probe0")
        return "Unknown device type" not in done.stderr  # a VLAN wants more to be said

    def entered(self) -> AbstractContextManager[None]:
        """Moves this thread into it for a while."""
        return namespaces.entered(self.name)


def _takes_frames(link: bytes) -> bool:
    """Not IFF_RUNNING: it is set as well while the kernel has not looked yet (IF_OPER_UNKNOWN)."""
    flags, found = IFINFOMSG.unpack_from(link)[3], index(link, IFINFOMSG.size)
    kind = string(index(found.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND))
    waits = kind in CARRIED and flags & IFF_UP and flags & IFF_LOWER_UP
    return not waits or found[IFLA_OPERSTATE] == bytes((IF_OPER_UP,))


@pytest.fixture
def netnses() -> Iterator[Callable[[], Netns]]:
    """Makes network namespaces, with loopback up, and takes all of them away in the end."""
    made: list[Netns] = []

    def make() -> Netns:
        if os.geteuid():
            pytest.skip("needs root")
        one = Netns(f"xt-{os.getpid()}-{next(NUMBERS)}")
        made.append(one)
        namespace.add(one.name)
        one.up("lo")
        return one

    try:
        yield make
    finally:
        remove(made)


@pytest.fixture
def netns(netnses: Callable[[], Netns]) -> Netns:
    """One network namespace."""
    return netnses()


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    """A NIC and its wire, nothing stacked on it yet."""
    from tests.kernel.rig import Rig

    made = Rig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def remove(made: Iterable[Netns]) -> None:
    """Ends what runs in the namespaces and deletes them, with all that is pinned for them."""
    there = [each for each in made if (Path("/run/netns") / each.name).exists()]
    for pid in inside({(Path("/run/netns") / each.name).stat().st_ino for each in there}):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for each in there:
        namespace.delete(each.name)
    for each in made:
        pinned = pins.ROOT / each.name
        if pinned.exists():  # a test ended with its devices applied
            shutil.rmtree(pinned)
            pins.remove_empty(pinned)


def inside(namespaces: Collection[int]) -> Iterator[int]:
    """The processes in network namespaces of these inodes. Never this one: a test that left its
    thread inside would end the whole run.
    """
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if os.stat(f"/proc/{entry.name}/ns/net").st_ino in namespaces:
                    yield int(entry.name)


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether the condition comes true within a time, looking every 10 ms."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
