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

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from xdpctl.bpf import pins
from xdpctl.host import netns as namespaces

if TYPE_CHECKING:
    from tests.kernel.rig import Rig

NUMBERS = count()


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

    def json(self, *arguments: str) -> Any:
        """Runs `ip -n NAME -d -j …`; what it printed, parsed."""
        return json.loads(self.ip("-d", "-j", *arguments) or "[]")

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


@pytest.fixture
def netnses() -> Iterator[Callable[[], Netns]]:
    """Makes network namespaces, with loopback up, and takes all of them away in the end."""
    made: list[Netns] = []

    def make() -> Netns:
        if os.geteuid():
            pytest.skip("needs root")
        one = Netns(f"xt-{os.getpid()}-{next(NUMBERS)}")
        made.append(one)
        subprocess.run(["ip", "netns", "add", one.name], check=True)
        one.ip("link", "set", "lo", "up")
        return one

    try:
        yield make
    finally:
        for one in made:
            remove(one)


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


def remove(netns: Netns) -> None:
    """Ends what runs in a namespace and deletes it, with all that is pinned for it."""
    listed = subprocess.run(
        ["ip", "netns", "pids", netns.name], capture_output=True, text=True, check=False
    )
    for pid in listed.stdout.split():
        # Never this process: a test that left its thread inside would end the whole run.
        if int(pid) != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    if (Path("/run/netns") / netns.name).exists():
        subprocess.run(["ip", "netns", "delete", netns.name], check=True)
    pinned = pins.ROOT / netns.name
    if pinned.exists():  # a test ended with its devices applied
        shutil.rmtree(pinned)
        pins.remove_empty(pinned)


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether the condition comes true within a time, looking every 10 ms."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
