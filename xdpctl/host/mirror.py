"""Links and gates as the kernel has them, read once and then only where something has changed.

An apply looks at them three times: for the plan, before the datapath is synced, to verify. A host
has thousands of macvlans, of which it changes one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Self

from xdpctl.errors import KernelError
from xdpctl.host import clsact
from xdpctl.host.decode import decode
from xdpctl.host.likeness import decode_all
from xdpctl.host.monitor import Monitor
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Link

TELLING = frozenset({"macvlan", "macvtap"})
"""Kinds of which the kernel tells nearly all that others do to them while they are up: not sizes of
GSO and GRO, and not an XDP program, which few have. It does not tell of a tap's owner or of a
team's options either: other kinds are read again each time."""
FEW = 256
"""Devices that are asked for one by one; all are read again where there are more."""


class Mirror:
    """Of the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._monitor = Monitor()  # first: what happens from here on is told
        self._rtnl = Rtnl()
        self._links: dict[int, Link] = {}
        self._changed: set[int] = set()
        self._written: frozenset[str] = frozenset()
        self._gates: dict[int, dict[int, int | None]] = {clsact.INGRESS: {}, clsact.EGRESS: {}}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._monitor.close()
        self._rtnl.close()

    def touch(self, names: Iterable[str]) -> None:
        """These devices will be written to, and are read again each time from now on: of one that
        is down the kernel tells little (do_setlink, IFF_UP), of an XDP link nothing.
        """
        self._written |= frozenset(names)

    def links(self) -> tuple[Link, ...]:
        """All links, those that have come meanwhile last."""
        self._listen()
        asked = self._changed.union(
            one.ifindex
            for one in self._links.values()
            if one.kind not in TELLING or one.xdp is not None or one.name in self._written
        )
        if self._links and len(asked) <= FEW:
            self._ask(sorted(asked))
        else:
            self._links = {one.ifindex: one for one in decode_all(self._rtnl.links())}
        self._changed.clear()
        return tuple(self._links.values())

    def program_ids(self, devices: Sequence[int], hook: int) -> dict[int, int]:
        """The ids of the programs of our filters, by ifindex, as clsact.program_ids has them."""
        self._listen()
        known = self._gates[hook]
        unknown = [index for index in devices if index not in known]
        if unknown:
            known |= dict.fromkeys(unknown) | clsact.program_ids(self._rtnl, unknown, hook)
        return {index: number for index in devices if (number := known[index]) is not None}

    def _ask(self, devices: Sequence[int]) -> None:
        for ifindex, answer in zip(devices, self._rtnl.some(devices), strict=True):
            if isinstance(answer, bytes):
                self._links[ifindex] = decode(answer)
            elif isinstance(answer, KernelError) and answer.errno == errno.ENODEV:
                self._links.pop(ifindex, None)
            else:
                raise answer

    def _listen(self) -> None:
        """Forget what is no longer so; all of it where there was more to tell than room."""
        while not self._has_heard_all():
            self._links.clear()
            for known in self._gates.values():
                known.clear()

    def _has_heard_all(self) -> bool:
        try:
            for ifindex, is_link in self._monitor.told():
                if is_link:
                    self._changed.add(ifindex)
                for known in self._gates.values():
                    known.pop(ifindex, None)
        except KernelError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return False
        return True
