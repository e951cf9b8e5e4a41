"""Finding a physical device by what it is instead of by its name.

By netlink and ioctl, which are of the network namespace that we are in. (sysfs is of the one
that it was mounted in.)
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from xdpctl.errors import ConflictError, MissingError
from xdpctl.host.attributes import index, string
from xdpctl.host.decode import IFLA_IFNAME, decode
from xdpctl.host.rtnl import Rtnl
from xdpctl.record import record
from xdpctl.topology.codecs import Mac

IFLA_ADDRESS, IFLA_PERM_ADDRESS, IFLA_PARENT_DEV_NAME, IFLA_PARENT_DEV_BUS_NAME = 1, 54, 56, 57
SIOCETHTOOL, ETHTOOL_GDRVINFO, DRVINFO_SIZE = 0x8946, 3, 196
STACKED = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "bond", "bridge", "team"})
"""Kinds that take over the MAC of the device below them: never what a `mac` means."""


@record
class Candidate:
    """A device with what it may be found by."""

    name: str
    mac: str
    path: str
    bus: str


def resolve(match: Mapping[str, str], rtnl: Rtnl) -> str:
    """The name of the one device that all of `mac`, `driver` and `path` fit.

    `mac` is the permanent address, or the present one of a device that has none; `driver` is the
    kernel driver's name (`ethtool -i`), `path` its parent's name, with or without the bus
    (`0000:00:1f.6`, `pci-0000:00:1f.6`); both may be shell patterns.
    """
    fits = [one for one in candidates(rtnl) if all(FITS[key](one, match[key]) for key in match)]
    wanted = ", ".join(f"{key} {value}" for key, value in match.items())
    if not fits:
        raise MissingError(f"there is no device with {wanted}")
    if len(fits) > 1:
        names = ", ".join(one.name for one in fits)
        raise ConflictError(f"several devices have {wanted}: {names}")
    return fits[0].name


def candidates(rtnl: Rtnl) -> list[Candidate]:
    """All devices that may be a NIC."""
    found = []
    for raw in rtnl.links():
        if decode(raw).kind in STACKED:
            continue
        attributes = index(raw, 16)
        mac = attributes.get(IFLA_PERM_ADDRESS) or attributes.get(IFLA_ADDRESS, b"")
        path = string(attributes.get(IFLA_PARENT_DEV_NAME))
        bus = string(attributes.get(IFLA_PARENT_DEV_BUS_NAME))
        found.append(Candidate(string(attributes[IFLA_IFNAME]), mac.hex(":"), path, bus))
    return found


def fits_mac(one: Candidate, wanted: str) -> bool:
    """The permanent address."""
    return one.mac == Mac(unicast=False).parse(wanted)


def fits_path(one: Candidate, wanted: str) -> bool:
    """The parent's name, alone or behind its bus."""
    names = (one.path, f"{one.bus}-{one.path}")
    return bool(one.path) and any(fnmatchcase(name, wanted) for name in names)


def fits_driver(one: Candidate, wanted: str) -> bool:
    """The driver's name."""
    return fnmatchcase(driver(one.name), wanted)


FITS: dict[str, Callable[[Candidate, str], bool]] = {
    "mac": fits_mac,
    "path": fits_path,
    "driver": fits_driver,
}


def driver(name: str) -> str:
    """The name of a device's driver (ETHTOOL_GDRVINFO), "" if it does not tell."""
    info = array.array("B", struct.pack("=I", ETHTOOL_GDRVINFO).ljust(DRVINFO_SIZE, b"\0"))
    request = struct.pack("@16sP16x",
                          name.encode(), info.buffer_info()[0])  # fmt: skip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        try:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        except OSError:
            return ""
    return string(info.tobytes()[4:36])
