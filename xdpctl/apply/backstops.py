"""The gates at the devices: attached, kept, taken off; by tcx, or by clsact before 6.6."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins
from xdpctl.bpf.program import Program
from xdpctl.datapath.live import BACKSTOP_PIN
from xdpctl.errors import KernelError
from xdpctl.host import clsact
from xdpctl.host.rtnl import Rtnl

NO_DEVICE = 0x7FFF_FFFF


class Backstops:
    """Puts one gate at devices and takes it off again."""

    def __init__(self, directory: Path, gate: Program, undo: Undo) -> None:
        self._directory = directory
        self._gate = gate
        self._undo = undo
        self._tcx = has_tcx(gate)

    def attach(self, device: str, ifindex: int) -> None:
        """Put the gate at the device, before every other tcx program there."""
        if not self._tcx:
            with Rtnl() as rtnl:
                clsact.attach(rtnl, ifindex, self._gate.fd)
            self._undo.add(lambda: _quietly(lambda: _remove_filter(ifindex)))
            return
        path = self._pin(device)
        path.unlink(missing_ok=True)  # the severed link of a device that was deleted
        link = links.create(self._gate.fd, ifindex, links.Hook.TCX_INGRESS, links.BPF_F_BEFORE)
        with link:
            pins.pin(link.fd, path)
        self._undo.add(path.unlink)

    def renew(self, device: str, ifindex: int, old: Program) -> None:
        """Replace the gate in place."""
        self._put(device, ifindex, self._gate)
        self._undo.add(lambda: self._put(device, ifindex, old))

    def _put(self, device: str, ifindex: int, gate: Program) -> None:
        if not self._tcx:
            with Rtnl() as rtnl:
                clsact.attach(rtnl, ifindex, gate.fd)
            return
        with links.Link(pins.open_pin(self._pin(device))) as link:
            link.update(gate.fd)

    def detach(self, device: str, ifindex: int) -> None:
        """Take the gate off; `ifindex` 0: the device is gone, at most the pin is left."""
        path = self._pin(device)
        if path.exists():
            with links.Link(pins.open_pin(path)) as link:
                if ifindex:
                    link.detach()
            path.unlink()
        elif ifindex:
            _remove_filter(ifindex)
        if ifindex:
            self._undo.add(lambda: self.attach(device, ifindex))

    def _pin(self, device: str) -> Path:
        return self._directory / (BACKSTOP_PIN + pins.file_name(device))


def has_tcx(gate: Program) -> bool:
    """Whether the kernel has tcx: one that has it misses the device, one without the hook."""
    try:
        links.create(gate.fd, NO_DEVICE, links.Hook.TCX_INGRESS, 0).close()
    except KernelError as error:
        return error.errno == errno.ENODEV
    return True


def _remove_filter(ifindex: int) -> None:
    with Rtnl() as rtnl:
        clsact.detach(rtnl, ifindex)


def _quietly(step: Callable[[], None]) -> None:
    """An undo whose device may be gone by now: then so is the filter."""
    try:
        step()
    except KernelError as error:
        if error.errno not in (errno.ENODEV, errno.ENOENT):
            raise
