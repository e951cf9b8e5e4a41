"""Traffic between two namespaces, measured where it arrives: TCP by iperf3, round trips, UDP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from measure import ENVIRONMENT, run

from xdpctl.host import netns

IPERF_PORT: Final = 5201
ROUND_TRIP_PORT: Final = 7777
CLOSED_PORT: Final = 7778
"""Nobody listens there, and no policy here lets it pass."""
_ROUND_TRIP: Final = str(Path(__file__).with_name("round_trip.py"))
_SNMP: Final = Path("/proc/thread-self/net/snmp")
_TCP: Final = Path("/proc/thread-self/net/tcp")
_LISTEN: Final = "0A"  # TCP_LISTEN
_PATIENCE: Final = 10.0


@contextmanager
def servers(name: str, address: str) -> Iterator[None]:
    """An iperf3 server and one that answers round trips, at an address of a namespace."""
    commands = (
        ["iperf3", "--server", "--bind", address, "--port", str(IPERF_PORT)],
        [sys.executable, _ROUND_TRIP, address, str(ROUND_TRIP_PORT)],
    )
    with netns.entered(name):  # a child is born where its parent's thread is
        running = [
            subprocess.Popen(
                each, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for each in commands
        ]
        for port in (IPERF_PORT, ROUND_TRIP_PORT):
            _await(port)
    try:
        yield
    finally:
        for each in running:
            each.terminate()
            each.wait()


def _await(port: int) -> None:
    """Until somebody listens there, in the namespace that we are in."""
    deadline = time.perf_counter() + _PATIENCE
    while time.perf_counter() < deadline:
        sockets = [line.split()[1:4] for line in _TCP.read_text("ascii").splitlines()[1:]]
        if any(at.endswith(f":{port:04X}") and state == _LISTEN for at, _, state in sockets):
            return
        time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}")


def tcp_gigabits(name: str, address: str, seconds: float) -> float:
    """What the server has received a second, in Gbit."""
    with netns.entered(name):
        done = run("iperf3", "--client", address, "--port", str(IPERF_PORT), "--json",
                   "--time", f"{seconds:g}")  # fmt: skip
    received = json.loads(done.stdout)["end"]["sum_received"]
    if not received["bytes"]:
        raise SystemExit(f"iperf3 at {address} has received nothing")
    return float(received["bits_per_second"]) / 1e9


def round_trips(name: str, address: str, count: int) -> float:
    """Round trips of a byte over TCP in a second; each waits for the answer to the one before."""
    with netns.entered(name):
        done = run(sys.executable, _ROUND_TRIP, address, str(ROUND_TRIP_PORT), str(count))
    return float(done.stdout)


def is_silent(name: str, address: str) -> bool:
    """Whether the closed port says nothing, not even that it is closed: a policy is in force."""
    with netns.entered(name), socket.socket() as probe:
        probe.settimeout(0.5)
        try:
            probe.connect((address, CLOSED_PORT))
        except TimeoutError:
            return True
        except ConnectionRefusedError:
            return False
    raise SystemExit(f"somebody listens on {address}, port {CLOSED_PORT}")


class Datagrams:
    """A UDP socket that nobody reads from while frames come: what has arrived at it.

    The kernel counts those that are read (InDatagrams) and those that found the socket's buffer
    full (InErrors): both have come all the way to the socket.
    """

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._socket.setblocking(False)

    def __call__(self) -> int:
        """So far, in the namespace that we are in."""
        self._read()
        lines = [line.split() for line in _SNMP.read_text("ascii").splitlines()]
        names, values = (line for line in lines if line[0] == "Udp:")
        counted = dict(zip(names[1:], map(int, values[1:]), strict=True))
        return counted["InDatagrams"] + counted["InErrors"]

    def _read(self) -> None:
        try:
            while True:
                self._socket.recv(2048)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Nobody listens any more."""
        self._socket.close()
