"""Our program at a device's tc ingress: a cls_bpf filter on the clsact qdisc (since 4.5).

Not tcx, although the kernel has it since 6.6: attaching a tcx link waits for an RCU grace period
under the lock of all of rtnetlink, 10 to 20 ms a device and as much again when the device goes,
where a qdisc with its filter takes 0.1 ms. A thousand devices are 20 s or 0.1 s.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Sequence

from xdpctl.errors import KernelError
from xdpctl.host.attributes import index, nest, text, u32
from xdpctl.host.netlink import NLM_F_CREATE, NLM_F_EXCL, NLMSGHDR, message
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

_IFINDEX_AT = NLMSGHDR.size + 4
"""Where the ifindex stands in a message about a filter."""

ABSENT = frozenset({errno.ENODEV, errno.ENOENT, errno.EINVAL})
"""What the kernel says of a filter whose device, qdisc or self is not there."""


def add_qdisc(ifindex: int) -> bytes:
    """The message that adds clsact; EEXIST where somebody has."""
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, _qdisc(ifindex))


def delete_qdisc(ifindex: int) -> bytes:
    """The message that removes clsact with all its filters."""
    return message(RTM_DELQDISC, 0, _qdisc(ifindex))


def _qdisc(ifindex: int) -> bytes:
    return TCMSG.pack(0, ifindex, CLSACT_QDISC, CLSACT_PARENT, 0) + text(TCA_KIND, "clsact")


def _filter(ifindex: int, hook: int) -> bytes:
    """The address of our filter: before all of lower priority, for every protocol."""
    network_order = int.from_bytes(struct.pack(">H", ETH_P_ALL), sys.byteorder)
    place = TCMSG.pack(0, ifindex, HANDLE, hook, PRIORITY << 16 | network_order)
    return place + text(TCA_KIND, "bpf")


def add_filter(ifindex: int, program_fd: int, hook: int = INGRESS) -> bytes:
    """The message that puts the program at the ingress or EGRESS; replaces it if it is there."""
    options = [
        u32(TCA_BPF_FD, program_fd),
        text(TCA_BPF_NAME, "xdpctl_gate"),
        u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
    ]
    return message(
        RTM_NEWTFILTER, NLM_F_CREATE, _filter(ifindex, hook) + nest(TCA_OPTIONS, options)
    )


def delete_filter(ifindex: int, hook: int = INGRESS) -> bytes:
    """The message that takes our filter off; ENOENT or EINVAL where it is not."""
    return message(RTM_DELTFILTER, 0, _filter(ifindex, hook))


def is_unused(rtnl: Rtnl, ifindex: int) -> bool:
    """Whether the device's clsact has no filter at all, of either direction."""
    return not _filters(rtnl, ifindex, INGRESS) and not _filters(rtnl, ifindex, EGRESS)


def program_id(rtnl: Rtnl, ifindex: int) -> int | None:
    """The id of the program that our filter on the device runs; None where there is none."""
    return program_ids(rtnl, [ifindex]).get(ifindex)


def program_ids(rtnl: Rtnl, devices: Sequence[int], hook: int = INGRESS) -> dict[int, int]:
    """The same of many devices, by ifindex; those without our filter are left out.

    Each is asked for by its address, as the kernel lists filters of one device at a time only:
    thousands of lists take ten times as long.
    """
    one = message(RTM_GETTFILTER, 0, _filter(0, hook))
    before, behind = one[:_IFINDEX_AT], one[_IFINDEX_AT + 4 :]
    requests = [
        (before + struct.pack("=i", ifindex) + behind, f"look at the filter of device {ifindex}")
        for ifindex in devices
    ]
    found: dict[int, int] = {}
    known: dict[bytes, int] = {}  # by the attributes, which are the same at each device
    for ifindex, answer in zip(devices, rtnl.ask_all(requests), strict=True):
        if isinstance(answer, bytes):
            attributes = answer[TCMSG.size :]
            if attributes not in known:
                options = index(index(attributes).get(TCA_OPTIONS, b""))
                (known[attributes],) = struct.unpack("=I", options.get(TCA_BPF_ID, bytes(4)))
            found[ifindex] = known[attributes]
        elif not (isinstance(answer, KernelError) and answer.errno in ABSENT):
            raise answer
    return found


def _filters(rtnl: Rtnl, ifindex: int, parent: int) -> list[bytes]:
    """The filters of one direction. The kernel heads each priority with a message of handle 0."""
    body = TCMSG.pack(0, ifindex, 0, parent, 0)
    found = rtnl.dump(message(RTM_GETTFILTER, 0, body), f"list the filters of device {ifindex}")
    return [one for one in found if TCMSG.unpack_from(one)[2]]
