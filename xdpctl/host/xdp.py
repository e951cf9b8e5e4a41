"""XDP over netlink: how programs are attached that have no bpf_link."""

from __future__ import annotations

import struct

from xdpctl.host.attributes import attribute, nest, u32
from xdpctl.host.netlink import message
from xdpctl.host.rtnl import IFINFOMSG, RTM_NEWLINK

IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS = 43, 1, 3
NO_PROGRAM = -1


def set_xdp(ifindex: int, program_fd: int, flags: int) -> bytes:
    """The message that attaches a program; NO_PROGRAM takes the present one off.

    `flags` are XDP_FLAGS_*: the mode is part of the address, as each mode has a place of its own.
    """
    parts = [
        attribute(IFLA_XDP_FD, struct.pack("=i", program_fd)),
        u32(IFLA_XDP_FLAGS, flags),
    ]
    body = IFINFOMSG.pack(0, 0, ifindex, 0, 0) + nest(IFLA_XDP, parts)
    return message(RTM_NEWLINK, 0, body)
