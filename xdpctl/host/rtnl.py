"""The route netlink socket and its messages' headers (linux/rtnetlink.h)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from xdpctl.errors import XdpctlError
from xdpctl.host.attributes import u32
from xdpctl.host.netlink import Netlink, message

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS = 29, 1 << 3

IFINFOMSG = struct.Struct("=BxHiII")
IFADDRMSG = struct.Struct("=BBBBI")


class Rtnl(Netlink):
    """A NETLINK_ROUTE socket in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE)

    def links(self) -> list[bytes]:
        """Every device: an ifinfomsg with its attributes each, without statistics."""
        return self.dump(_question(0)[0], "list the devices")

    def link(self, ifindex: int) -> bytes:
        """One device, as `links` has it."""
        return self.ask(*_question(ifindex))

    def some(self, devices: Iterable[int]) -> list[bytes | XdpctlError]:
        """Devices, as `links` has them, in order; the refusal of one that is not there."""
        return self.ask_all([_question(ifindex) for ifindex in devices])


def _question(ifindex: int) -> tuple[bytes, str]:
    """What asks for a device (0: for all of them, as a dump), and what that is, in words."""
    body = IFINFOMSG.pack(0, 0, ifindex, 0, 0) + u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return message(RTM_GETLINK, 0, body), f"look at device {ifindex}"
