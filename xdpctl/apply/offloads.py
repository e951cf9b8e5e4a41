"""Switches offloads, remembers how they were, and reads back whether the driver did so."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from xdpctl.bpf import pins
from xdpctl.datapath import tuned
from xdpctl.datapath.loaded import Live
from xdpctl.errors import KernelError, XdpctlError
from xdpctl.host.netns import identify
from xdpctl.host.offloads import Ethtool, Offloads
from xdpctl.host.state import Host
from xdpctl.plan.offloads import NoteOffloads, SwitchOffloads, states, word
from xdpctl.plan.operation import Operation


class OffloadPerformer:
    """Performs SwitchOffloads and NoteOffloads of one topology."""

    TYPES: tuple[type[Operation], ...] = (SwitchOffloads, NoteOffloads)

    def __init__(self, topology: str) -> None:
        self._directory: Path = pins.directory(identify(), topology)
        self._ethtool: Ethtool | None = None

    def perform(self, operation: Operation) -> None:
        """Do it; raises KernelError where the driver keeps a feature as it is."""
        if isinstance(operation, NoteOffloads):
            if operation.remembered:
                tuned.remember(self._directory, operation.switched)
            else:
                tuned.forget(self._directory, operation.switched)
        elif isinstance(operation, SwitchOffloads):
            self._switch(operation)
        else:
            raise TypeError(f"not an operation on offloads: {operation!r}")

    def close(self) -> None:
        """Give the socket back."""
        if self._ethtool is not None:
            self._ethtool.close()

    def _switch(self, operation: SwitchOffloads) -> None:
        """What is to be switched back is noted first, what is switched back is forgotten last: a
        run that is killed in between leaves nothing that nobody knows of.
        """
        said = operation.summary()
        ifindex = _ifindex(operation)
        wanted = states(operation.changes.items())
        now = self._read(ifindex, said)
        if operation.remembered:
            pins.require_bpffs()
            before = {(ifindex, name): now.is_on(name) for name, on in wanted.items()
                      if now.is_on(name) != on}  # fmt: skip
            if before:  # an empty map would belong to nothing
                tuned.remember(self._directory, before)
        if wanted:
            self._opened().switch(ifindex, wanted, said)
            _check(self._read(ifindex, said), wanted, said)
        if not operation.remembered:
            tuned.forget(self._directory, [(ifindex, name) for name in operation.changes])

    def _read(self, ifindex: int, said: str) -> Offloads:
        found = self._opened().offloads([ifindex]).get(ifindex)
        if found is None:
            raise KernelError(said, errno.EOPNOTSUPP, "the kernel does not tell its features")
        return found

    def _opened(self) -> Ethtool:
        if self._ethtool is None:
            self._ethtool = Ethtool()
        return self._ethtool


def _ifindex(operation: SwitchOffloads) -> int:
    try:
        return socket.if_nametoindex(operation.device)
    except OSError:
        reason = f"there is no device {operation.device}"
        raise KernelError(operation.summary(), errno.ENODEV, reason) from None


def _check(now: Offloads, wanted: dict[str, bool], said: str) -> None:
    """The kernel is silent where a driver does not follow (netdev_update_features)."""
    kept = [f"{name} {word(not on)}" for name, on in wanted.items() if now.is_on(name) != on]
    if kept:
        raise KernelError(said, errno.EOPNOTSUPP, f"its driver keeps {' and '.join(kept)}")


def mend(before: Live, host: Host) -> list[str]:
    """After a rollback: devices that were deleted and are back have what was switched at them as
    it was `before`. A sentence for each failure.
    """
    switched: dict[int, dict[str, bool]] = {}
    for ifindex, feature in before.tuned:
        link = host.by_index.get(ifindex)
        if link is not None and link.name in before.offloads:
            on = before.offloads[link.name].is_on(feature)
            switched.setdefault(ifindex, {})[feature] = on
    failed: list[str] = []
    if switched:
        with Ethtool() as ethtool:
            for ifindex, features in switched.items():
                name = host.by_index[ifindex].name
                try:
                    ethtool.switch(ifindex, features, f"switch features of {name} back")
                except XdpctlError as error:
                    failed.append(str(error))
    return failed
