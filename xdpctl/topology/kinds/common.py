"""What every device has, whatever its kind (ifinfomsg and the IFLA_* level)."""

from __future__ import annotations

from xdpctl.topology.codecs import Bit, Flag, Mac, u32
from xdpctl.topology.property import Change, Place, Property

IFF_UP, IFF_NOARP, IFF_PROMISC, IFF_ALLMULTI, IFF_MULTICAST = 0x1, 0x80, 0x100, 0x200, 0x1000


def header(name: str, codec: Bit, doc: str) -> Property:
    """A bit of ifi_flags."""
    return Property(name, 0, codec, place=Place.HEADER, doc=doc)


def link(name: str, attribute: int, codec: Flag | Mac, doc: str) -> Property:
    """An attribute of the IFLA_* level."""
    return Property(name, attribute, codec, place=Place.LINK, doc=doc)


COMMON: tuple[Property, ...] = (
    header("state", Bit(IFF_UP, words=("down", "up")), "administrative state"),
    Property("mtu", 4, u32(0), place=Place.LINK, doc="largest packet, bytes without Ethernet's 14"),
    link("address", 1, Mac(), "MAC address"),
    link("broadcast", 2, Mac(unicast=False), "broadcast address"),
    Property("txqueuelen", 13, u32(), place=Place.LINK, doc="packets that the queue holds"),
    Property("group", 27, u32(default=0), place=Place.LINK, doc="device group, a number"),
    header("arp", Bit(IFF_NOARP, inverted=True), "answers and sends ARP"),
    header("multicast", Bit(IFF_MULTICAST), "takes part in multicast"),
    header("allmulticast", Bit(IFF_ALLMULTI), "receives all multicast"),
    header("promisc", Bit(IFF_PROMISC), "receives every frame"),
    Property("gso_max_size", 41, u32(), place=Place.LINK, doc="largest GSO packet, bytes"),
    Property("gso_max_segs", 40, u32(1, 65535), place=Place.LINK, doc="most segments a GSO packet"),
    Property("gro_max_size", 58, u32(), place=Place.LINK, doc="largest GRO packet, bytes"),
)

QUEUES: tuple[Property, ...] = tuple(
    Property(name, number, u32(1, 4096), Change.RECREATE, Place.LINK, doc=doc)
    for name, number, doc in (
        ("numtxqueues", 31, "transmit queues"),
        ("numrxqueues", 32, "receive queues"),
    )
)
"""For the kinds whose queues are counted at creation, and there only."""

PROTODOWN = link("protodown", 39, Flag(), "the carrier is held down")
