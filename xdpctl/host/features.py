"""What a device's driver can do with XDP (netdev generic netlink, linux/netdev.h, since 6.3)."""

from __future__ import annotations

import errno
import socket
import struct

from xdpctl.errors import KernelError
from xdpctl.host.attributes import index, text, u32
from xdpctl.host.netlink import Netlink, message

NETLINK_GENERIC = socket.NETLINK_GENERIC if hasattr(socket, "NETLINK_GENERIC") else 16
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 1, 2
NETDEV_CMD_DEV_GET = 1
NETDEV_A_DEV_IFINDEX, NETDEV_A_DEV_XDP_FEATURES = 1, 3
FEATURES = (
    "basic", "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg",
)  # fmt: skip
"""enum netdev_xdp_act, from bit 0."""


def xdp_features(ifindex: int) -> frozenset[str] | None:
    """The XDP features of a device of this namespace by the kernel's names; empty: none at all.

    None on a kernel that has no such interface: then only trying tells.
    """
    with Netlink(NETLINK_GENERIC) as genl:
        family = family_number(genl, "netdev")
        if family is None:
            return None
        body = command(NETDEV_CMD_DEV_GET) + u32(NETDEV_A_DEV_IFINDEX, ifindex)
        answer = genl.ask(message(family, 0, body), f"ask for XDP features of device {ifindex}")
    payload = index(answer, 4).get(NETDEV_A_DEV_XDP_FEATURES, bytes(8))
    (word,) = struct.unpack("=Q", payload)
    return frozenset(name for bit, name in enumerate(FEATURES) if word & (1 << bit))


def family_number(genl: Netlink, name: str) -> int | None:
    """The number of a generic netlink family; None if the kernel has none of that name."""
    body = command(CTRL_CMD_GETFAMILY) + text(CTRL_ATTR_FAMILY_NAME, name)
    try:
        answer = genl.ask(message(GENL_ID_CTRL, 0, body), f"find netlink family {name}")
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    (number,) = struct.unpack("=H", index(answer, 4)[CTRL_ATTR_FAMILY_ID])
    return int(number)


def command(number: int) -> bytes:
    """struct genlmsghdr."""
    return struct.pack("=BBH", number, 1, 0)
