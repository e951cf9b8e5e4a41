"""Three veth pairs of one kind in a namespace, one a contender: frames go in at `wireN`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from measure import namespace, run

from bench.driver import enable_gro
from xdpctl.host import netns

DEVICES: Final = {"xdpctl": 0, "C": 1, "nft": 2}
"""Contender → number of its pair."""
_IP6 = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")


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
        enable_gro(f"eth{DEVICES['nft']}")
        yield name


def wire(contender: str) -> int:
    """The ifindex of the end that frames for the contender go into."""
    return socket.if_nametoindex(f"wire{DEVICES[contender]}")


def nic(contender: str) -> int:
    """The ifindex of the end where the contender's rules are."""
    return socket.if_nametoindex(f"eth{DEVICES[contender]}")
