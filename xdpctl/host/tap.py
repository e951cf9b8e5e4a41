"""Tap devices, which ioctls on the tun device make (linux/if_tun.h).

Until TUNSETPERSIST a tap lives as long as its descriptor. So a run that is killed between making
one and labelling it leaves nothing behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from xdpctl.errors import KernelError, UnsupportedError, XdpctlError
from xdpctl.host.netlink import refusal
from xdpctl.topology.model import Value

DEVICE = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP, TUNSETIFINDEX = (
    0x400454CA + n for n in (0, 1, 2, 4, 16)
)
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR, IFF_TUN_EXCL = 2, 0x100, 0x1000, 0x4000, 0x8000
OWNERS = {"user": TUNSETOWNER, "group": TUNSETGROUP}


@contextmanager
def creating(name: str, properties: Mapping[str, Value], ifindex: int = 0) -> Iterator[int]:
    """Makes a tap in this namespace; gives its ifindex to the body, which labels it.

    `ifindex` is the one that it shall have (0: any), as where it is put back.
    It becomes persistent when the body ends well; otherwise it is gone.
    """
    operation = f"create tap {name}"
    descriptor = opened(operation)
    try:
        if ifindex:
            request(descriptor, TUNSETIFINDEX, struct.pack("=I", ifindex), operation)
        attach(descriptor, name, flags(properties) | IFF_TUN_EXCL, operation)
        own(descriptor, properties, operation)
        yield socket.if_nametoindex(name)
        request(descriptor, TUNSETPERSIST, 1, operation)
    finally:
        os.close(descriptor)


def change(name: str, live: Mapping[str, Value], wanted: Mapping[str, Value]) -> None:
    """Gives a tap that nobody has open another user or group; `live` are its present values.

    The kernel takes them through a descriptor only: EBUSY while somebody else has the only one.
    """
    if not wanted.keys() & OWNERS.keys():
        return
    operation = f"change tap {name}"
    descriptor = opened(operation)
    try:
        attach(descriptor, name, flags(live), operation)
        own(descriptor, wanted, operation)
    finally:
        os.close(descriptor)


def flags(properties: Mapping[str, Value]) -> int:
    """ifr_flags of TUNSETIFF."""
    word = IFF_TAP if properties.get("pi") else IFF_TAP | IFF_NO_PI
    word |= IFF_VNET_HDR if properties.get("vnet_hdr") else 0
    return word | (IFF_MULTI_QUEUE if properties.get("multi_queue") else 0)


def opened(operation: str) -> int:
    """A descriptor of the tun device, of this namespace."""
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
            raise UnsupportedError(
                f"{operation}: this kernel has no {DEVICE}", hint="modprobe tun"
            ) from None
        raise failure(operation, error) from None


def attach(descriptor: int, name: str, word: int, operation: str) -> None:
    """TUNSETIFF: makes the device of that name, or attaches to it."""
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("=16sH22x", name.encode(), word))
    except OSError as error:
        if error.errno == errno.EBUSY and word & IFF_TUN_EXCL:
            raise KernelError(operation, errno.EEXIST) from None
        raise failure(operation, error) from None


def own(descriptor: int, properties: Mapping[str, Value], operation: str) -> None:
    """TUNSETOWNER and TUNSETGROUP. Neither takes `any`, which is what a new tap has."""
    for name, which in OWNERS.items():
        value = properties.get(name)
        if value is not None and value != "any":
            request(descriptor, which, int(str(value)), operation)


def request(descriptor: int, which: int, argument: int | bytes, operation: str) -> None:
    """An ioctl with a number, or with what stands in memory."""
    try:
        fcntl.ioctl(descriptor, which, argument)
    except OSError as error:
        raise failure(operation, error) from None


def failure(operation: str, error: OSError) -> XdpctlError:
    """The error for an OSError."""
    return refusal(operation, error.errno or errno.EIO)
