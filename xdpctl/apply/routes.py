"""Routes out of a device, so that undoing its deletion can give them back (linux/rtnetlink.h)."""

from __future__ import annotations

import struct

from xdpctl.host.attributes import attribute, index, u32
from xdpctl.host.netlink import NLM_F_CREATE, NLM_F_REPLACE, message
from xdpctl.host.rtnl import Rtnl
from xdpctl.record import record

RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTMSG = struct.Struct("=BBBBBBBBI")
RTA_OIF, RTA_MULTIPATH, RTA_CACHEINFO = 4, 9, 12
RTPROT_KERNEL, RTPROT_RA, RTN_UNICAST = 2, 9, 1


@record
class Route:
    """One route that somebody set: its rtmsg without the flags, and its attributes but the OIF."""

    header: tuple[int, ...]
    attributes: tuple[tuple[int, bytes], ...]


def read(ifindex: int, rtnl: Rtnl) -> tuple[Route, ...]:
    """The routes out of one device that neither the kernel nor a router made; single-path ones."""
    request = message(RTM_GETROUTE, 0, RTMSG.pack(*[0] * 9) + u32(RTA_OIF, ifindex))
    found: list[Route] = []
    for raw in rtnl.dump(request, f"list the routes out of device {ifindex}"):
        header = RTMSG.unpack_from(raw)
        attributes = index(raw, RTMSG.size)
        protocol, kind = header[5], header[7]
        out = attributes.pop(RTA_OIF, b"")
        if out != struct.pack("=I", ifindex) or RTA_MULTIPATH in attributes:
            continue
        if kind == RTN_UNICAST and protocol not in (RTPROT_KERNEL, RTPROT_RA):
            attributes.pop(RTA_CACHEINFO, None)
            found.append(Route(header[:8], tuple(attributes.items())))
    return tuple(found)


def add(ifindex: int, route: Route) -> bytes:
    """The message that sets the route, out of the device that has that ifindex now."""
    body = RTMSG.pack(*route.header, 0) + u32(RTA_OIF, ifindex)
    body += b"".join(attribute(number, payload) for number, payload in route.attributes)
    return message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)
