"""A device's list of unicast addresses beside its own, whose frames its NIC lets in.

What stands on a device adds its address there itself. Of a device that frames are redirected into
nobody would: `bridge fdb add … dev eth0 self permanent` does (rtnl_fdb_add, ndo_dflt_fdb_add).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable

from xdpctl.errors import KernelError
from xdpctl.host.attributes import attribute, index
from xdpctl.host.netlink import NLM_F_CREATE, NLM_F_EXCL, message
from xdpctl.host.rtnl import Rtnl

NDMSG = struct.Struct("=BxxxiHBB")
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
AF_BRIDGE = 7
NUD_PERMANENT, NTF_SELF = 0x80, 0x02
NDA_LLADDR = 2


def add(rtnl: Rtnl, ifindex: int, addresses: Iterable[int], operation: str) -> None:
    """Let the NIC take these addresses in, too; what is there already, is in."""
    flags = NLM_F_CREATE | NLM_F_EXCL
    messages = [
        (message(RTM_NEWNEIGH, flags, _entry(ifindex, one)), operation) for one in addresses
    ]
    _send(rtnl, messages, frozenset({errno.EEXIST}))


def remove(rtnl: Rtnl, ifindex: int, addresses: Iterable[int], operation: str) -> None:
    """Take these off again; what is not there, or whose device is gone, is off."""
    messages = [(message(RTM_DELNEIGH, 0, _entry(ifindex, one)), operation) for one in addresses]
    _send(rtnl, messages, frozenset({errno.ENOENT, errno.ENODEV}))


def read(rtnl: Rtnl, ifindex: int) -> frozenset[int]:
    """The addresses of the list (and groups, which stand in the same dump)."""
    asked = message(RTM_GETNEIGH, 0, NDMSG.pack(AF_BRIDGE, ifindex, 0, 0, 0))
    found = set()
    for answer in rtnl.dump(asked, f"list the addresses that device {ifindex} takes in"):
        _, owner, _, flags, _ = NDMSG.unpack_from(answer)
        address = index(answer, NDMSG.size).get(NDA_LLADDR)
        if owner == ifindex and flags & NTF_SELF and address is not None:
            found.add(int.from_bytes(address, "big"))
    return frozenset(found)


def _send(rtnl: Rtnl, messages: list[tuple[bytes, str]], settled: frozenset[int]) -> None:
    for outcome in rtnl.batch(messages):
        is_settled = isinstance(outcome, KernelError) and outcome.errno in settled
        if outcome is not None and not is_settled:
            raise outcome


def _entry(ifindex: int, address: int) -> bytes:
    head = NDMSG.pack(AF_BRIDGE, ifindex, NUD_PERMANENT, NTF_SELF, 0)
    return head + attribute(NDA_LLADDR, address.to_bytes(6, "big"))
