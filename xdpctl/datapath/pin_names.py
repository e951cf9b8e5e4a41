"""What the pins of a topology are called, in its directory of bpffs."""

from __future__ import annotations

from collections.abc import Iterable

from xdpctl.bpf import pins
from xdpctl.datapath.named import SOCKETS

ROOT_PIN, PROGRAMS_PIN, PARTS_PIN, SOCKETS_PIN = "xdp-", "programs-", "parts-", "userspace-"
OUR_PINS = (ROOT_PIN, PROGRAMS_PIN, PARTS_PIN, SOCKETS_PIN, pins.NEW)
"""What our pins' names begin with; any other entry of the directory is somebody else's."""


def socket_pin(key: str, entry: str) -> str:
    """`userspace-NAME@ROOT`: one map a root, as each has its own receive queues."""
    return f"{SOCKETS_PIN}{key.removeprefix(SOCKETS)}@{entry}"


def socket_pins(targets: Iterable[str], entry: str) -> set[str]:
    """Those of all maps of AF_XDP sockets among the targets of one root."""
    return {socket_pin(key, entry) for key in targets if key.startswith(SOCKETS)}
