"""A device that goes from one pipeline of ours to another: its link goes along, without a gap."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from xdpctl.apply import roots
from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins, program
from xdpctl.bpf.program import Program
from xdpctl.datapath.hooks import Hook, read_hooks
from xdpctl.datapath.pin_names import hooked, uplinked
from xdpctl.host.state import Host, Link

Keep = Callable[[Program], Program]
"""Keeps a program open until the run ends."""


def take_over(
    loaded: Program,
    link: Link,
    mode: roots.Mode,
    path: Path,
    entry: str,
    host: Host,
    undo: Undo,
    keep: Keep,
) -> bool:
    """Let the link that another pipeline of ours has at the device run `loaded`, pinned at `path`.

    False where there is none; one in the other mode is taken off, as the kernel changes no mode.
    `entry` is the pipeline that takes it.
    """
    if link.xdp is None:  # most are new: no look through the pins for each of thousands
        return False
    found = _of_another(path.parent, link, entry, host)
    if found is None:
        return False
    where, old = path.parent / found.pin, keep(program.open_id(found.program_id))
    if found.mode != mode:
        roots.detach(where, old, found.ifindex, found.mode, undo)
        return False
    roots.adopt(where, path, loaded, old, undo)
    return True


def links_of_others(directory: Path, entry: str, besides: Path | None = None) -> set[int]:
    """The ids of the links that other pipelines than `entry` have pinned, not counting one pin."""
    return roots.pinned_links(one for one in _of_others(directory, entry) if one != besides)


def unpin_shared(path: Path, others: Collection[int], undo: Undo) -> bool:
    """Take a pin away, and no more than that, where the link is one of `others` as well: a run was
    killed while another pipeline took it over. False where it is none.
    """
    link = links.Link(pins.open_pin(path))
    if link.info.id not in others:
        link.close()
        return False
    undo.add(lambda: pins.replace(link.fd, path))
    pins.remove(path)
    return True


def _of_others(directory: Path, entry: str) -> list[Path]:
    """The pins of links of other pipelines."""
    return [
        path
        for path in pins.entries(directory)
        if (hooked(path.name) or uplinked(path.name)) not in (None, entry)
    ]


def _of_another(directory: Path, link: Link, entry: str, host: Host) -> Hook | None:
    """What attaches another pipeline to the device: as its root, as a port, or as one that frames
    are redirected into.
    """
    found = read_hooks(_of_others(directory, entry), host)
    return next((one for one in found if one.ifindex == link.ifindex), None)
