"""What the kernel tells of changes: a socket that hears of links, qdiscs and filters."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from xdpctl.errors import KernelError
from xdpctl.host.netlink import Netlink
from xdpctl.host.rtnl import RTM_DELLINK, RTM_NEWLINK

GROUPS = 1 << 0 | 1 << 3
"""RTNLGRP_LINK and RTNLGRP_TC, as the bits that bind(2) takes."""
ROOM = 1 << 20
"""Bytes of news that wait to be heard, some hundred messages: who makes thousands of devices reads
all of them again anyway."""
_IFINDEX = struct.Struct("=4xi")
"""Where ifinfomsg and tcmsg have it."""


class Monitor(Netlink):
    """Hears what happens in the network namespace of the thread that makes it, from then on."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE, GROUPS, ROOM)
        self._socket.setblocking(False)

    def told(self) -> Iterator[tuple[int, bool]]:
        """The ifindexes of all news since the last time, and whether each is of the link itself.

        Raises KernelError (ENOBUFS) where there were more than there is room for.
        """
        while True:
            try:
                for kind, _, _, body in self._received("hear of changes"):
                    if len(body) >= _IFINDEX.size:
                        (ifindex,) = _IFINDEX.unpack_from(body)
                        yield ifindex, kind in {RTM_NEWLINK, RTM_DELLINK}
            except KernelError as error:
                if error.errno == errno.EAGAIN:
                    return
                raise
