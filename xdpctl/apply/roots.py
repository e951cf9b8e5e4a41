"""The root's own attachment: made, replaced in place, taken over, taken off."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Literal

from xdpctl.apply import above
from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins
from xdpctl.bpf.program import Program, open_id
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.errors import ConflictError, KernelError
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Link
from xdpctl.host.xdp import NO_PROGRAM, set_xdp

_GONE = frozenset({errno.ENODEV, errno.EINVAL})
"""What the kernel says of an ifindex that there is not (net/core/dev.c, bpf_xdp_link_attach)."""
_NO_NATIVE = frozenset({errno.EOPNOTSUPP, errno.EINVAL})


class NoNativeXdpError(KernelError):
    """The driver has no native XDP, which this kernel does not tell beforehand (before 6.3)."""


Mode = Literal["native", "generic"]


def attach(loaded: Program, wanted: Pipeline, root: Link, path: Path, undo: Undo) -> None:
    """Attach to the root and pin the link over whatever stands at `path`: a severed one.

    Raises NoNativeXdpError where only this attempt could tell and the file takes generic as well.
    """
    try:
        link = above.create(loaded, root.ifindex, wanted.mode, path.parent)
    except KernelError as error:
        open_question = wanted.mode == "native" and wanted.auto and not wanted.certain
        if error.errno in _NO_NATIVE and open_question:
            raise NoNativeXdpError(error.operation, error.errno, error.reason) from error
        raise
    severed = links.Link(pins.open_pin(path)) if path.exists() else None
    with link:
        pins.replace(link.fd, path)

    def back() -> None:
        with links.Link(pins.open_pin(path)) as attached:
            attached.detach()  # at once: the pin's removal is carried out later
        if severed is None:
            pins.remove(path)
        else:
            pins.replace(severed.fd, path)

    undo.add(back)


def update(path: Path, loaded: Program, old: Program, undo: Undo) -> None:
    """Replace the program without a gap (BPF_LINK_UPDATE)."""
    with links.Link(pins.open_pin(path)) as link:
        link.update(loaded.fd)

    def back() -> None:
        with links.Link(pins.open_pin(path)) as link:
            link.update(old.fd)

    undo.add(back)


def adopt(path: Path, to: Path, loaded: Program, old: Program, undo: Undo) -> None:
    """Let the link that is pinned at `path` run another pipeline, under that one's pin."""
    update(path, loaded, old, undo)
    with links.Link(pins.open_pin(path)) as link:
        pins.replace(link.fd, to)
        undo.add(partial(repin, to, path))
    pins.remove(path)


def repin(path: Path, to: Path) -> None:
    """Pin the link of `path` as `to` instead."""
    with links.Link(pins.open_pin(path)) as link:
        pins.replace(link.fd, to)
    pins.remove(path)


def sever(path: Path, old: Program, ifindex: int, mode: Mode, undo: Undo) -> None:
    """Take the program off; the pin stays, and with it all that the program is made of.

    `ifindex` 0: the link is severed already.
    """
    if not ifindex:
        return
    with links.Link(pins.open_pin(path)) as link:
        link.detach()

    def back() -> None:
        try:
            hang(path, old, ifindex, mode)
        except KernelError as error:
            if error.errno not in _GONE:  # a root that comes back yet is the rollback's to mend
                raise

    undo.add(back)


def hang(path: Path, loaded: Program, ifindex: int, mode: Mode) -> None:
    """Attach a program that was severed from its root, and pin the new link over the old."""
    with above.create(loaded, ifindex, mode, path.parent) as link:
        pins.replace(link.fd, path)


def detach(path: Path, old: Program, ifindex: int, mode: Mode, undo: Undo) -> None:
    """Take the program off and its pin away."""
    link = links.Link(pins.open_pin(path))
    sever(path, old, ifindex, mode, undo)
    pins.remove(path)
    undo.add(lambda: pins.replace(link.fd, path))


def discard(path: Path, kept: Collection[int]) -> None:
    """Take away what a killed run left pinned; a link's program comes off at once, unless the link
    is one of those that are `kept` under another pin.
    """
    if not path.exists() or path.is_dir():
        return
    with links.Link(pins.open_pin(path)) as opened:
        if pins.kind(opened.fd) == "link" and opened.info.id not in kept:
            opened.detach()
    pins.remove(path)


def pinned_links(paths: Iterable[Path]) -> set[int]:
    """The ids of the links among the pins."""
    found: set[int] = set()
    for path in paths:
        with links.Link(pins.open_pin(path)) as opened:
            if pins.kind(opened.fd) == "link":
                found.add(opened.info.id)
    return found


def evict(root: Link, program_id: int, undo: Undo) -> None:
    """Take somebody else's program off the root (the user said --take-over).

    One attached by bpf_link is detached through its link; it comes back over netlink, as the link
    is its owner's to make.
    """
    mode: Mode = "generic" if root.xdp is not None and root.xdp.mode == "generic" else "native"
    theirs = open_id(program_id)
    try:
        _set_program(root, NO_PROGRAM, mode)
    except KernelError as error:
        if error.errno != errno.EBUSY:  # "Can't replace active BPF XDP link"
            raise
        _detach_link(root, program_id)
    undo.add(partial(_bring_back, root, theirs, mode))


def _set_program(root: Link, program_fd: int, mode: Mode) -> None:
    with Rtnl() as rtnl:
        message = set_xdp(root.ifindex, program_fd, above.FLAGS[mode])
        rtnl.request(message, f"set the XDP program of {root.name}")


def _bring_back(root: Link, theirs: Program, mode: Mode) -> None:
    with theirs:
        _set_program(root, theirs.fd, mode)


def _detach_link(root: Link, program_id: int) -> None:
    """Detach the link that holds the program on the root.

    Links do not tell their network namespace, and ifindexes are numbered in each: where several
    could be the root's, none is touched.
    """
    found = list(links.on(root.ifindex, program_id))
    if len(found) != 1:
        listed = ", ".join(map(str, found))
        raise ConflictError(
            f"{root.name} has its XDP program {program_id} by one of the bpf_links {listed}",
            hint="`bpftool link detach id …` the one that is in this network namespace",
        )
    with links.open_id(found[0]) as link:
        link.detach()
