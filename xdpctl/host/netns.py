"""Network namespaces: entering one by name, and the name of the one we are in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xdpctl.bpf import libc
from xdpctl.errors import KernelError, MissingError, NotPermitted
from xdpctl.topology.codecs import nearest

DIRECTORY = Path("/run/netns")
"""Where `ip netns add` mounts namespaces under their names."""
OURS = Path("/proc/thread-self/ns/net")
FIRST = Path("/proc/1/ns/net")
HOST, UNNAMED = "host", "net-"
"""What `identify` calls the namespace of pid 1, and how it calls one without a name."""
CLONE_NEWNET = 0x4000_0000
FIRST_INODE = 0xEFFF_FFF9
"""NET_NS_INIT_INO of linux/nsfs.h: the first namespace's inode, fixed since 6.18."""


def names() -> list[str]:
    """The named network namespaces of this host."""
    return sorted(one.name for one in DIRECTORY.iterdir()) if DIRECTORY.is_dir() else []


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    """Runs its body in the named network namespace; with None, where we are.

    Only the calling thread moves, only its network namespace changes (not its mounts, so bpffs
    stays in sight), and it comes back whatever happens.
    """
    if name is None:
        yield
        return
    old = present()
    try:
        move(opened(name), f"enter network namespace {name}")
        try:
            yield
        finally:
            move(os.dup(old), "return to the first network namespace")
    finally:
        os.close(old)


def opened(name: str) -> int:
    """A descriptor of the named namespace."""
    if not is_plain(name):
        raise missing(name)
    try:
        return os.open(DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise missing(name) from None
    except PermissionError:
        raise NotPermitted(f"open network namespace {name}: Permission denied") from None


def missing(name: str) -> MissingError:
    """The error for a namespace that there is not."""
    return MissingError(f"there is no network namespace {name}{nearest(name, names())}")


def is_plain(name: str) -> bool:
    """Whether it is a name in a directory, and not a way to somewhere else."""
    return name not in ("", ".", "..") and "/" not in name


def is_ours(name: str) -> bool:
    """Whether this thread is in the named namespace, whatever else that is called."""
    with suppress(OSError):
        return is_plain(name) and os.path.samestat((DIRECTORY / name).stat(), OURS.stat())
    return False


def present() -> int:
    """A descriptor of the namespace that this thread is in."""
    return os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)


def move(descriptor: int, operation: str) -> None:
    """Moves this thread into the namespace of a descriptor, and closes it."""
    try:
        setns(descriptor)
    except PermissionError:
        raise NotPermitted(f"{operation}: Operation not permitted", hint="run as root") from None
    except OSError as error:
        raise KernelError(operation, error.errno or 0) from None
    finally:
        os.close(descriptor)


def setns(descriptor: int) -> None:
    """setns(2), which Python itself has since 3.12."""
    own = getattr(os, "setns", libc.setns)
    own(descriptor, CLONE_NEWNET)


def identify() -> str:
    """The name of the network namespace that this thread is in, for pins and locks.

    `host` for that of pid 1, whatever else it is called; else its name below /run/netns, of
    several the first in order; else `net-<inode>`, as for a name that would read as one of these.
    """
    ours = OURS.stat()
    if first(ours):
        return HOST
    for name in names():
        if name == HOST or name.startswith(UNNAMED):
            continue
        # A namespace may be taken away between the listing and the look at it.
        with suppress(OSError):
            if os.path.samestat((DIRECTORY / name).stat(), ours):
                return name
    return f"{UNNAMED}{ours.st_ino}"


def first(namespace: os.stat_result) -> bool:
    """Whether it is the namespace of pid 1."""
    if namespace.st_ino == FIRST_INODE:
        return True
    with suppress(PermissionError):
        return os.path.samestat(FIRST.stat(), namespace)
    return False
