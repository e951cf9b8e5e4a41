"""What the pins of a topology are called, in its directory of bpffs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xdpctl.bpf import pins
from xdpctl.datapath.named import SOCKETS

ROOT_PIN, PORT_PIN, PROGRAMS_PIN = "xdp-", "port-", "programs-"
PARTS_PIN, SOCKETS_PIN = "parts-", "userspace-"
OFFLOADS_PIN, UPLINK_PIN = "offloads", "uplink-"
"""What was switched for XDP (`xdpctl.datapath.tuned`): one a topology. The link of the program at a
device that frames are redirected into: one a device."""
OUR_PINS = (
    ROOT_PIN, PORT_PIN, PROGRAMS_PIN, PARTS_PIN, SOCKETS_PIN, OFFLOADS_PIN, UPLINK_PIN, pins.NEW
)  # fmt: skip
"""What our pins' names begin with; any other entry of the directory is somebody else's."""


def hook_pin(entry: str, port: str | None) -> str:
    """That of the link that attaches a pipeline: to the root, or to a port of it."""
    if port is None:
        return ROOT_PIN + entry
    return f"{PORT_PIN}{entry}@{pins.file_name(port).replace('@', '%40')}"


def hooked(pin: str) -> str | None:
    """The entry of the pipeline that the pin attaches; None for any other pin."""
    if pin.startswith(ROOT_PIN):
        return pin.removeprefix(ROOT_PIN)
    if pin.startswith(PORT_PIN):
        return pin.removeprefix(PORT_PIN).rpartition("@")[0]
    return None


def hooked_device(pin: str) -> str:
    """The port that the link was made for; "" of the root's."""
    if not pin.startswith(PORT_PIN):
        return ""
    return pins.plain_name(pin.rpartition("@")[2].split("%i")[0].replace("%40", "@"))


def socket_pin(key: str, entry: str) -> str:
    """`userspace-NAME@ROOT`: one map a root, as each has its own receive queues."""
    return f"{SOCKETS_PIN}{key.removeprefix(SOCKETS)}@{entry}"


def socket_pins(targets: Iterable[str], entry: str) -> set[str]:
    """Those of all maps of AF_XDP sockets among the targets of one root."""
    return {socket_pin(key, entry) for key in targets if key.startswith(SOCKETS)}


def uplink_pin(device: str, entry: str) -> str:
    """`uplink-ROOT@DEVICE`: the link of the program at a device that frames are redirected into."""
    return f"{UPLINK_PIN}{entry}@{pins.file_name(device).replace('@', '%40')}"


def uplinked(pin: str) -> str | None:
    """The entry of the pipeline whose frames go into the device; None for any other pin."""
    if pin.startswith(UPLINK_PIN):
        return pin.removeprefix(UPLINK_PIN).rpartition("@")[0]
    return None


def uplink_pins(directory: Path, entry: str) -> list[Path]:
    """Those of one root."""
    start = f"{UPLINK_PIN}{entry}@"
    return [path for path in pins.entries(directory) if path.name.startswith(start)]
