"""Where a pipeline is attached: to the root, or to each of its ports, by pinned links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xdpctl.bpf import links, objects, pins
from xdpctl.bpf.objects import Object
from xdpctl.datapath.pin_names import PORT_PIN
from xdpctl.host.state import Host


@dataclass(frozen=True, slots=True)
class Hook:
    """One attachment of a pipeline: its pin's name, where it is, and with which program.

    ifindex  0 where the link is severed (the device was deleted, or somebody detached it)
    """

    pin: str
    ifindex: int
    program_id: int
    mode: Literal["native", "generic"] = "native"

    @property
    def on_port(self) -> bool:
        """Whether it is on a port of the root."""
        return self.pin.startswith(PORT_PIN)


def read_hooks(paths: Iterable[Path], host: Host) -> list[Hook]:
    """The links of XDP among the pins; those in force first, the root's before its ports'."""
    hooks: list[Hook] = []
    for path in paths:
        with Object(pins.open_pin(path)) as opened:
            if pins.kind(opened.fd) != "link":
                continue
            info = objects.link_info(opened.fd)
        if info.type == links.LinkType.XDP:
            device = host.by_index.get(info.ifindex)
            generic = device and device.xdp is not None and device.xdp.mode == "generic"
            mode: Literal["native", "generic"] = "generic" if generic else "native"
            hooks.append(Hook(path.name, info.ifindex, info.program_id, mode))
    return sorted(hooks, key=lambda hook: (not hook.ifindex, hook.on_port, hook.pin))
