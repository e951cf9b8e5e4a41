"""The gates at the devices: attached, kept by a pin, taken off."""

from __future__ import annotations

from pathlib import Path

from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins
from xdpctl.datapath.live import BACKSTOP_PIN


def attach(gate_fd: int, ifindex: int, path: Path, undo: Undo) -> None:
    """Put the gate before every other tcx program of the device, and pin the link."""
    path.unlink(missing_ok=True)  # the severed link of a device that was deleted
    with links.create(gate_fd, ifindex, links.Hook.TCX_INGRESS, links.BPF_F_BEFORE) as link:
        pins.pin(link.fd, path)
    undo.add(path.unlink)


def detach(gate_fd: int, ifindex: int, path: Path, undo: Undo) -> None:
    """Take the gate off the device; `ifindex` 0: the device is gone, only the pin is left."""
    with links.Link(pins.open_pin(path)) as link:
        if ifindex:
            link.detach()
    path.unlink()
    if ifindex:
        undo.add(lambda: attach(gate_fd, ifindex, path, Undo()))


def pin_of(directory: Path, device: str) -> Path:
    """Where a device's backstop is pinned."""
    return directory / (BACKSTOP_PIN + pins.file_name(device))
