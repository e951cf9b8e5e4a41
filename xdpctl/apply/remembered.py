"""The IP addresses and routes of devices that this run deletes or takes down for a while.

A device that goes down loses its IPv6 addresses and its routes; one that is deleted, everything.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress

from xdpctl.apply import routes
from xdpctl.host import addresses
from xdpctl.host.rtnl import Rtnl

Configuration = tuple[tuple[addresses.Address, ...], tuple[routes.Route, ...]]


class Remembered:
    """What the devices had."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], Configuration] = {}

    def note(self, names: Iterable[str], netns: str, rtnl: Rtnl) -> None:
        """Look at the devices before they go the first time; later they may have less.

        They are in the namespace that this thread is in, which is called `netns`. One without
        addresses has no routes to keep.
        """
        for name in names:
            if (netns, name) in self._of:
                continue
            with suppress(OSError):  # gone already: its deletion will say so
                ifindex = socket.if_nametoindex(name)
                had = addresses.read(ifindex, rtnl)
                self._of[netns, name] = had, routes.read(ifindex, rtnl) if had else ()

    def restore(self, name: str, netns: str, operation: str, rtnl: Rtnl) -> None:
        """Give a device back what it had in here; addresses first, as routes need them."""
        had, ways = self._of.get((netns, name), ((), ()))
        if not had:
            return
        ifindex = socket.if_nametoindex(name)
        messages = [addresses.add(ifindex, one) for one in had]
        messages += [routes.add(ifindex, one) for one in ways]
        for refusal in rtnl.batch([(one, operation) for one in messages]):
            if refusal is not None:
                raise refusal
