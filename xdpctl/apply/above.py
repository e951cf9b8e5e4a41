"""XDP links on a device that has masters with programs of ours.

The kernel attaches nothing to a device while a device directly above has a program of any mode
("Cannot attach when an upper device already has a program": net/core/dev.c, dev_xdp_attach);
replacing in a link is all that it allows.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from xdpctl.bpf import links, pins, program
from xdpctl.bpf.program import Program
from xdpctl.datapath.hooks import Hook, read_hooks
from xdpctl.datapath.pin_names import hooked
from xdpctl.errors import KernelError
from xdpctl.host import snapshot

FLAGS = {"native": links.XDP_FLAGS_DRV_MODE, "generic": links.XDP_FLAGS_SKB_MODE}


def create(loaded: Program, ifindex: int, mode: str, directory: Path) -> links.Link:
    """Attach a program; those of ours above, whose links are pinned in `directory`, step aside for
    as long as that takes, two system calls each: there is no way without such a moment.
    """
    try:
        return links.create(loaded.fd, ifindex, links.Hook.XDP, FLAGS[mode])
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        found = list(_above(ifindex, directory))
        if not found:
            raise
    with ExitStack() as back:
        for hook in found:
            _step_aside(hook, directory, back)
        return links.create(loaded.fd, ifindex, links.Hook.XDP, FLAGS[mode])


def _above(ifindex: int, directory: Path) -> Iterator[Hook]:
    """Our links on masters of the device, and on what stands on it."""
    host = snapshot.read()
    below = host.by_index[ifindex]
    above = {one.ifindex for one in host.links if one.lower == ifindex} | {below.master}
    paths = [path for path in pins.entries(directory) if hooked(path.name) is not None]
    yield from (hook for hook in read_hooks(paths, host) if hook.ifindex and hook.ifindex in above)


def _step_aside(hook: Hook, directory: Path, back: ExitStack) -> None:
    """Take a program off until `back` is closed; its pin has a new link then."""
    path, loaded = directory / hook.pin, program.open_id(hook.program_id)
    back.callback(loaded.close)

    def again() -> None:
        with links.create(loaded.fd, hook.ifindex, links.Hook.XDP, FLAGS[hook.mode]) as link:
            pins.replace(link.fd, path)

    with links.Link(pins.open_pin(path)) as link:
        link.detach()
    back.callback(again)
