"""The programs at the devices' tc hooks: hung, replaced and taken off, many at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence

from xdpctl.apply.undo import Undo
from xdpctl.bpf.program import Program
from xdpctl.errors import KernelError
from xdpctl.host import clsact
from xdpctl.host.rtnl import Rtnl

Device = tuple[str, int]
"""A device's name, for messages, and its ifindex."""


class Backstops:
    """Puts one gate at devices and takes it off again; `hook` is clsact's INGRESS or EGRESS."""

    def __init__(self, gate: Program, undo: Undo, hook: int = clsact.INGRESS) -> None:
        self._gate = gate
        self._undo = undo
        self._hook = hook

    def attach(self, devices: Sequence[Device]) -> None:
        """Put the gate at the hook of these devices."""
        self._undo.add(lambda: remove(devices, self._hook))  # before: of many, some may be done
        _hang(devices, self._gate, self._hook)

    def renew(self, devices: Sequence[Device], old: Program) -> None:
        """Replace the gate in place."""
        self._undo.add(lambda: _hang_again(devices, old, self._hook))
        _hang(devices, self._gate, self._hook)

    def detach(self, devices: Sequence[Device]) -> None:
        """Take the gate off these devices."""
        self._undo.add(lambda: _hang_again(devices, self._gate, self._hook))
        remove(devices, self._hook)


def _hang_again(devices: Iterable[Device], gate: Program, hook: int) -> None:
    """An undo: of devices that are gone, those that come back yet are the rollback's to mend."""
    for device in devices:
        try:
            _hang([device], gate, hook)
        except KernelError as error:
            if error.errno not in clsact.ABSENT:
                raise


def _hang(devices: Sequence[Device], gate: Program, hook: int) -> None:
    """All qdiscs first, which may be there already, then the filters, replaced where they are.

    A qdisc's first filter waits until everybody has left what they were reading when the qdisc was
    made (net/sched/sch_generic.c, mini_qdisc_pair_swap), which costs a busy host 20 ms for each.
    By the time that the others are made, they have.
    """
    with Rtnl() as rtnl:
        add_qdiscs(rtnl, devices)
        programs = dict.fromkeys((ifindex for _, ifindex in devices), gate.fd)
        add_filters(rtnl, devices, programs, hook)


def add_qdiscs(rtnl: Rtnl, devices: Sequence[Device]) -> None:
    """clsact at all of the devices; it may be there already."""
    qdiscs = [(clsact.add_qdisc(ifindex), f"add clsact to {name}") for name, ifindex in devices]
    for outcome in rtnl.batch(qdiscs):
        there = isinstance(outcome, KernelError) and outcome.errno == errno.EEXIST
        if outcome is not None and not there:
            raise outcome


def add_filters(
    rtnl: Rtnl,
    devices: Sequence[Device],
    programs: Mapping[int, int],
    hook: int = clsact.INGRESS,
) -> None:
    """Our filter at all of the devices, with the program (a descriptor) of its ifindex."""
    filters = [
        (clsact.add_filter(ifindex, programs[ifindex], hook), f"add a filter to {name}")
        for name, ifindex in devices
    ]
    for outcome in rtnl.batch(filters):
        if outcome is not None:
            raise outcome


def remove(devices: Iterable[Device], hook: int = clsact.INGRESS) -> None:
    """Take our filter off, and clsact with it where nobody else has a filter there.

    A device that is gone took its filter with it.
    """
    with Rtnl() as rtnl:
        for name, ifindex in devices:
            try:
                rtnl.request(clsact.delete_filter(ifindex, hook), f"remove the filter of {name}")
                if clsact.is_unused(rtnl, ifindex):
                    rtnl.request(clsact.delete_qdisc(ifindex), f"remove clsact of {name}")
            except KernelError as error:
                if error.errno not in clsact.ABSENT:
                    raise
