"""bpf_links: attachments that a pin keeps and that a program replaces without a gap."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from enum import IntEnum

from xdpctl.bpf import objects
from xdpctl.bpf.libbpf import LinkCreateOpts, call, library, refusal

XDP_FLAGS_SKB_MODE = 1 << 1
XDP_FLAGS_DRV_MODE = 1 << 2
_ABSENT = frozenset({errno.ENOENT, errno.EAGAIN})
"""Of an id that was there a moment ago: the link has ended, or somebody is still making it (it has
a place, but is not settled: bpf_link_by_id in kernel/bpf/syscall.c)."""


class LinkType(IntEnum):
    """enum bpf_link_type: those in use here."""

    XDP = 6


class Hook(IntEnum):
    """enum bpf_attach_type: the hooks in use here."""

    XDP = 37


class Link(objects.Object):
    """An open bpf_link. It detaches when its last descriptor and pin are gone."""

    __slots__ = ()

    @property
    def info(self) -> objects.LinkInfo:
        """Asked anew each time: the program changes by update, the ifindex when severed."""
        return objects.link_info(self.fd)

    def update(self, program_fd: int) -> None:
        """Replace the program atomically; ENOLINK where the device is gone."""
        call("bpf_link_update", self.fd, program_fd, None, operation="update link")

    def detach(self) -> None:
        """Take the program off its device now, whoever still holds the link (5.9)."""
        call("bpf_link_detach", self.fd, operation="detach link")


def create(program_fd: int, ifindex: int, hook: Hook, flags: int) -> Link:
    """Attach; works only from inside the device's network namespace."""
    options = LinkCreateOpts(sz=ctypes.sizeof(LinkCreateOpts), flags=flags)
    operation = f"attach to ifindex {ifindex}"
    fd = call(
        "bpf_link_create", program_fd, ifindex, hook, ctypes.byref(options), operation=operation
    )
    return Link(fd)


def every() -> Iterator[tuple[int, Link]]:
    """All bpf_links of the machine, of all namespaces, with their ids."""
    following, number = ctypes.c_uint32(), 0
    while library().bpf_link_get_next_id(number, ctypes.byref(following)) == 0:
        number = following.value
        fd = library().bpf_link_get_fd_by_id(number)
        if -fd in _ABSENT:
            continue
        if fd < 0:
            raise refusal(f"open link {number}", -fd)
        yield number, Link(fd)


def on(ifindex: int, program_id: int) -> Iterator[int]:
    """Ids of the XDP links of a program on a device of that ifindex, in whatever namespace."""
    for number, link in every():
        with link:
            info = link.info
        if (info.type, info.program_id, info.ifindex) == (LinkType.XDP, program_id, ifindex):
            yield number


def open_id(number: int) -> Link:
    """Open the link with this id; raises KernelError (ENOENT) where it is gone."""
    return Link(call("bpf_link_get_fd_by_id", number, operation=f"open link {number}"))
