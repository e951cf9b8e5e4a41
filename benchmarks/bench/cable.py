"""A host with a NIC and the station at the other end of its cable, each in a namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measure import namespace, run

from xdpctl.host import netns

NIC, WIRE = "eth0", "wire0"
STATION: Final = "10.77.0.1"
_CONF: Final = Path("/proc/sys/net")
_KNOBS: Final = {"ipv6/conf/all/disable_ipv6": "1", "ipv4/conf/all/arp_ignore": "1"}


@dataclass(frozen=True)
class Pair:
    """The names of the two namespaces."""

    host: str
    station: str


@contextmanager
def connected(suffix: str) -> Iterator[Pair]:
    """Neither sends frames of its own accord."""
    with room(f"xbench-{os.getpid()}-{suffix}-peer") as station, namespace(suffix) as host:
        for name in (host, station):
            prepare(name)
        run("ip", "-n", host, "link", "set", WIRE, "netns", station)
        address(station, WIRE, STATION)
        yield Pair(host, station)


@contextmanager
def room(name: str) -> Iterator[str]:
    """A namespace with nothing in it."""
    run("ip", "netns", "add", name)
    try:
        yield name
    finally:
        run("ip", "netns", "delete", name)


def prepare(name: str) -> None:
    """No IPv6, which would look for its neighbours and routers; no ARP but for a device's own
    address, which others on the NIC would answer otherwise; a loopback.
    """
    run("ip", "-n", name, "link", "set", "lo", "up")
    with netns.entered(name):
        for knob, value in _KNOBS.items():
            if (file := _CONF / knob).exists():
                file.write_text(value, "ascii")


def address(name: str, device: str, ip4: str) -> None:
    """Give a device of a namespace an address, and raise it."""
    run("ip", "-n", name, "address", "add", f"{ip4}/24", "dev", device)
    run("ip", "-n", name, "link", "set", device, "up")


def batch(name: str, lines: Sequence[str]) -> None:
    """Have `ip` do several things in a namespace."""
    run("ip", "-n", name, "-batch", "-", stdin="\n".join(lines) + "\n")
