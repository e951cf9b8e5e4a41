"""IP addresses of a device, so that undoing its deletion can give them back."""

from __future__ import annotations

import struct

from xdpctl.host.attributes import attribute, index
from xdpctl.host.netlink import NLM_F_CREATE, NLM_F_REPLACE, message
from xdpctl.host.rtnl import IFADDRMSG, RTM_GETADDR, RTM_NEWADDR, Rtnl
from xdpctl.record import record

IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 3, 4, 6, 8
IFA_RT_PRIORITY, IFA_PROTO = 9, 11
KEPT = (IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_RT_PRIORITY)
PERMANENT, SETTABLE = 0x80, 0x02 | 0x200 | 0x400 | 0x100 | 0x20 | 0x40
"""IFA_F_PERMANENT; nodad, noprefixroute, mcautojoin, managetempaddr, deprecated, homeaddress: the
flags that a request may carry. The others (tentative, dadfailed, temporary) are the kernel's."""
BY_KERNEL = (b"\1", b"\2", b"\3")
"""IFAPROT_KERNEL_LO, _RA, _LL: addresses that the kernel makes, and will make again, itself."""


@record
class Address:
    """One address as the kernel shows it: the header's fields, and the attributes to give back."""

    family: int
    prefix: int
    scope: int
    attributes: tuple[tuple[int, bytes], ...]


def read(ifindex: int, rtnl: Rtnl) -> tuple[Address, ...]:
    """The addresses of one device that somebody gave it, in the kernel's order."""
    request = message(RTM_GETADDR, 0, IFADDRMSG.pack(0, 0, 0, 0, ifindex))
    found = []
    for raw in rtnl.dump(request, f"list the addresses of device {ifindex}"):
        family, prefix, _, scope, at = IFADDRMSG.unpack_from(raw)
        attributes = index(raw, IFADDRMSG.size)
        # Kernels before 5.0 do not filter; one since then did.
        if at == ifindex and attributes.get(IFA_PROTO, b"")[:1] not in BY_KERNEL:
            found.append(Address(family, prefix, scope, kept(attributes)))
    return tuple(found)


def kept(attributes: dict[int, bytes]) -> tuple[tuple[int, bytes], ...]:
    """What of an address's attributes a request may carry."""
    (flags,) = struct.unpack("=I", attributes.get(IFA_FLAGS, bytes(4)))
    found = [(number, attributes[number]) for number in KEPT if number in attributes]
    found.append((IFA_FLAGS, struct.pack("=I", flags & SETTABLE)))
    if not flags & PERMANENT and IFA_CACHEINFO in attributes:
        found.append((IFA_CACHEINFO, attributes[IFA_CACHEINFO]))
    return tuple(found)


def add(ifindex: int, address: Address) -> bytes:
    """The message that gives a device the address (or renews it)."""
    header = IFADDRMSG.pack(address.family, address.prefix, 0, address.scope, ifindex)
    body = b"".join(attribute(number, payload) for number, payload in address.attributes)
    return message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header + body)
