"""Where a pipeline is attached: to the root, or to each of its ports, by pinned links.

Whose a link is, its program tells: it has the program array of the pipeline, which is pinned under
the pipeline's own name. What the link's pin is called may be another one's for a moment, when a
pipeline adopts it and the run is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from xdpctl.bpf import links, maps, objects, pins, program
from xdpctl.bpf.objects import Object
from xdpctl.datapath.pin_names import PORT_PIN, PROGRAMS_PIN, hooked
from xdpctl.host.state import Host
from xdpctl.record import record


@record
class Hook:
    """One attachment of a pipeline: its pin's name, where it is, and with which program.

    ifindex  0 where the link is severed (the device was deleted, or somebody detached it)
    on_port  it is on a port of the root
    """

    pin: str
    ifindex: int
    program_id: int
    mode: Literal["native", "generic"] = "native"
    on_port: bool = False

    def of(self, root_ifindex: int) -> Hook:
        """The same, of a pipeline of this root, whatever the pin is called."""
        return replace(self, on_port=self.ifindex != root_ifindex) if self.ifindex else self

    def is_of(self, entry: str) -> bool:
        """Whether it is pinned under the name of this pipeline."""
        return (hooked(self.pin) or "").split("%i")[0] == entry


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
            on_port = path.name.startswith(PORT_PIN)
            hooks.append(Hook(path.name, info.ifindex, info.program_id, mode, on_port))
    return sorted(hooks, key=lambda hook: (not hook.ifindex, hook.on_port, hook.pin))


def by_entry(found: Iterable[Path], host: Host, array: str) -> Mapping[str, list[Hook]]:
    """The hooks of each pipeline, by what its pins are called; `array` names its program array."""
    found = list(found)
    entries: dict[int, str] = {}
    for path in found:
        if path.name.startswith(PROGRAMS_PIN):
            with maps.Map(pins.open_pin(path)) as opened:
                entries[opened.info.id] = path.name.removeprefix(PROGRAMS_PIN)
    hooks: dict[str, list[Hook]] = {}
    for hook in read_hooks([path for path in found if hooked(path.name) is not None], host):
        entry = entries.get(_array(hook.program_id, array))
        if entry is not None:
            hooks.setdefault(entry, []).append(hook)
    return hooks


def _array(program_id: int, array: str) -> int:
    """The id of the program's map of this name; 0: it has none."""
    with program.open_id(program_id) as loaded:
        opened = maps.open_named(loaded.info.map_ids)
    try:
        return opened[array].info.id if array in opened else 0
    finally:
        for each in opened.values():
            each.close()
