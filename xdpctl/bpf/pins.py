"""Pins in bpffs: what keeps maps, programs and links after the process has ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdpctl.bpf.libbpf import call, refusal
from xdpctl.errors import UnsupportedError

BPFFS = Path("/sys/fs/bpf")
ROOT = BPFFS / "xdpctl"
BPF_FS_MAGIC = "bpf"
NEW = "new-"
"""Begins the name of an entry that is about to be renamed."""


def is_mounted() -> bool:
    """Whether bpffs is mounted where the pins go."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        found = [line.split()[1:3] for line in mounts]
    return [str(BPFFS), BPF_FS_MAGIC] in found


def require_bpffs() -> None:
    """Raise UnsupportedError unless it is."""
    if is_mounted():
        return
    raise UnsupportedError(
        f"no BPF file system at {BPFFS}",
        hint=f"mount -t bpf bpf {BPFFS} (inside `ip netns exec` it is hidden: use --netns)",
    )


def directory(netns: str, topology: str) -> Path:
    """Where a topology's pins stand."""
    return ROOT / file_name(netns) / file_name(topology)


def file_name(name: str) -> str:
    """`name` as a bpffs entry: bpffs keeps dots to itself (kernel/bpf/inode.c, bpf_lookup)."""
    return name.replace("%", "%25").replace(".", "%2e").replace("/", "%2f")


def plain_name(entry: str) -> str:
    """The name that `file_name` made the entry from."""
    return entry.replace("%2f", "/").replace("%2e", ".").replace("%25", "%")


def pin(fd: int, path: Path) -> None:
    """Pin a new entry; EEXIST where there is one. A refusal leaves no directory made for it."""
    try:
        with _refusals(f"make {path.parent}"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        call("bpf_obj_pin", fd, os.fsencode(path), operation=f"pin {path}")
    except BaseException:
        remove_empty(path.parent)
        raise


def replace(fd: int, path: Path) -> None:
    """Pin over what stands at `path`: the entry is at every moment the old or the new object."""
    fresh = path.with_name(NEW + path.name)
    remove(fresh)
    pin(fd, fresh)
    try:
        with _refusals(f"rename {fresh}"):
            fresh.rename(path)
    except BaseException:
        remove(fresh)
        raise


def remove(path: Path) -> None:
    """Take an entry away, if it is there. What only it kept ends a moment later: the kernel puts
    off the last put of a link (kernel/bpf/syscall.c, bpf_link_put).
    """
    with _refusals(f"remove {path}"):
        path.unlink(missing_ok=True)


@contextmanager
def _refusals(operation: str) -> Iterator[None]:
    """File system errors as bpf(2)'s are raised."""
    try:
        yield
    except OSError as error:
        raise refusal(operation, error.errno or 0) from error


def open_pin(path: Path) -> int:
    """A descriptor of the pinned object; raises KernelError (ENOENT)."""
    return call("bpf_obj_get", os.fsencode(path), operation=f"open {path}")


def kind(fd: int) -> str:
    """`link`, `map` or `prog`: what a descriptor of a BPF object is of."""
    return os.readlink(f"/proc/self/fd/{fd}").removeprefix("anon_inode:bpf-")


def entries(where: Path) -> list[Path]:
    """The pins directly in a directory; none where it does not exist."""
    try:
        return sorted(where.iterdir())
    except FileNotFoundError:
        return []


def empty(where: Path) -> list[Path]:
    """A topology's directory, or that of its namespace, if it is there for nothing."""
    for each in (where, where.parent):
        if each.is_dir():
            return [] if entries(each) else [each]
    return []


def remove_empty(where: Path) -> None:
    """Remove a directory and its empty parents up to (and with) our root."""
    while where != BPFFS:
        try:
            where.rmdir()
        except FileNotFoundError:
            pass  # its parents may be there
        except OSError:  # not empty: another topology or namespace uses it
            return
        where = where.parent
