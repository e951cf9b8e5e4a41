"""Programs at a device's tc ingress before the kernel had tcx (6.6): clsact and cls_bpf."""

from __future__ import annotations

import errno
import struct
import sys

from xdpctl.errors import KernelError
from xdpctl.host.attributes import index, nest, text, u32
from xdpctl.host.netlink import NLM_F_CREATE, NLM_F_EXCL, message
from xdpctl.host.rtnl import Rtnl

TCMSG = struct.Struct("=BxxxiIII")
RTM_NEWQDISC, RTM_DELQDISC = 36, 37
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS, TCA_BPF_ID = 6, 7, 8, 11
TCA_BPF_FLAG_ACT_DIRECT = 1
CLSACT_QDISC, CLSACT_PARENT = 0xFFFF_0000, 0xFFFF_FFF1
INGRESS, EGRESS = 0xFFFF_FFF2, 0xFFFF_FFF3
ETH_P_ALL = 3
PRIORITY = 1
HANDLE = 0x7864_7063
"""Our filter's handle within its priority ("xdpc"): by it we find it again, and only it."""


def _filter(ifindex: int) -> bytes:
    """The address of our filter: before all of lower priority, for every protocol."""
    info = PRIORITY << 16 | network_order(ETH_P_ALL)
    return TCMSG.pack(0, ifindex, HANDLE, INGRESS, info)


def network_order(protocol: int) -> int:
    """A protocol number in network byte order, as tcm_info has it."""
    return int.from_bytes(struct.pack(">H", protocol), sys.byteorder)


def attach(rtnl: Rtnl, ifindex: int, program_fd: int) -> None:
    """Put the program at the device's ingress, direct action; replaces ours where it is."""
    qdisc = TCMSG.pack(0, ifindex, CLSACT_QDISC, CLSACT_PARENT, 0) + text(TCA_KIND, "clsact")
    operation = f"add clsact to device {ifindex}"
    try:
        rtnl.request(message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, qdisc), operation)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
    options = [
        u32(TCA_BPF_FD, program_fd),
        text(TCA_BPF_NAME, "xdpctl_gate"),
        u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
    ]
    body = _filter(ifindex) + text(TCA_KIND, "bpf") + nest(TCA_OPTIONS, options)
    rtnl.request(message(RTM_NEWTFILTER, NLM_F_CREATE, body), f"add a filter to device {ifindex}")


def detach(rtnl: Rtnl, ifindex: int) -> None:
    """Take our filter off, and clsact with it where nobody else has a filter there."""
    body = _filter(ifindex) + text(TCA_KIND, "bpf")
    rtnl.request(message(RTM_DELTFILTER, 0, body), f"remove the filter of device {ifindex}")
    if not _filters(rtnl, ifindex, INGRESS) and not _filters(rtnl, ifindex, EGRESS):
        qdisc = TCMSG.pack(0, ifindex, CLSACT_QDISC, CLSACT_PARENT, 0) + text(TCA_KIND, "clsact")
        rtnl.request(message(RTM_DELQDISC, 0, qdisc), f"remove clsact of device {ifindex}")


def program_id(rtnl: Rtnl, ifindex: int) -> int | None:
    """The id of the program that our filter on the device runs; None where there is none."""
    for body in _filters(rtnl, ifindex, INGRESS):
        handle = TCMSG.unpack_from(body)[2]
        options = index(body, TCMSG.size).get(TCA_OPTIONS)
        if handle == HANDLE and options is not None:
            (number,) = struct.unpack("=I", index(options).get(TCA_BPF_ID, bytes(4)))
            return int(number)
    return None


def _filters(rtnl: Rtnl, ifindex: int, parent: int) -> list[bytes]:
    """The filters of one direction. The kernel heads each priority with a message of handle 0."""
    body = TCMSG.pack(0, ifindex, 0, parent, 0)
    found = rtnl.dump(message(RTM_GETTFILTER, 0, body), f"list the filters of device {ifindex}")
    return [one for one in found if TCMSG.unpack_from(one)[2]]
