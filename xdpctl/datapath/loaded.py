"""What is loaded of a topology, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from xdpctl.datapath.description import Description
from xdpctl.datapath.hooks import Hook
from xdpctl.datapath.layout import Slot
from xdpctl.datapath.live_switch import LiveSwitch
from xdpctl.datapath.set_maps import Contents
from xdpctl.datapath.tuned import Tuned
from xdpctl.host.offloads import Offloads
from xdpctl.record import record


@record
class Entry:
    """One device of the backstop; `out` is the ifindex that `tx` sends by."""

    ifindex: int
    policy: int
    flood: int
    block: int
    out: int = 0


@dataclass(frozen=True)
class LivePipeline:
    """A loaded pipeline.

    root        the name that the root has now; where it is gone, the one that it had
    entry       what its pins are called
    ifindex     of the root; 0 where it is gone, or no program is attached any more
    hooks       where the program is attached, those first that are in force
    maps        ids by name
    backstops   ifindexes of the devices that its gate hangs at, by name
    known       ifindexes of the devices that a gate of its hangs at, also one that a killed run
                was about to replace: they are the very devices that were policed before
    parts       ids of the arrays of parts that the pipeline and the police go on in
    sets        what each set holds; None where a run was killed while it changed
    reached     ifindexes of the devices that targets lead to, by number: the kernel takes away
                those that are deleted
    unpinned    maps of sockets whose pins somebody has removed
    switch      what there is for devices that frames are redirected into; their gates are at egress
    """

    root: str
    entry: str
    ifindex: int
    mode: Literal["native", "generic"]
    program_id: int
    description: Description
    maps: Mapping[str, int]
    slots: tuple[Slot, ...]
    displacements: tuple[int, ...]
    entries: Mapping[int, Entry]
    backstops: Mapping[str, int]
    known: frozenset[int] = frozenset()
    parts: frozenset[int] = frozenset()
    sets: Mapping[str, Contents | None] = field(default_factory=dict)
    reached: Mapping[int, int] = field(default_factory=dict)
    unpinned: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    switch: LiveSwitch | None = None

    @property
    def on_ports(self) -> bool:
        """Whether it is attached to the root's ports, and not to the root itself."""
        return bool(self.hooks) and all(hook.on_port for hook in self.hooks)

    @property
    def untidy(self) -> bool:
        """Whether a link is pinned twice or not as it should be: a run was killed while it adopted
        one.
        """
        alive = [hook for hook in self.hooks if hook.ifindex]
        twice = len({hook.ifindex for hook in alive}) < len(alive)
        return twice or any(not hook.is_of(self.entry) for hook in alive)

    @cached_property
    def by_key(self) -> dict[int, Slot]:
        """Slots by MAC address (or tag) and hub, but for the one of a passthru device.

        Those that a frame finds: a run that was killed may have left others, of a key that was to
        move to another place, or to come.
        """
        shape = self.description.shape
        hashed = [slot for slot in self.slots if slot.position < shape.slots]
        seen = shape.seen((slot.key for slot in hashed), self.displacements)
        return {
            slot.key: slot for slot, at in zip(hashed, seen, strict=True) if slot.position == at
        }

    @cached_property
    def hubs(self) -> dict[int, int]:
        """The numbers of the VLAN devices that tags lead to, by ifindex."""
        return {slot.ifindex: slot.hub for slot in self.slots if slot.is_tag}

    @property
    def attached(self) -> set[int]:
        """The ids of the XDP programs that its links hold."""
        pinned = self.switch.pinned.values() if self.switch is not None else ()
        return {each.program_id for each in (*self.hooks, *pinned)}

    @property
    def hung(self) -> set[int]:
        """The devices that have a program of its at a tc hook."""
        found = set(self.backstops.values())
        if self.switch is not None:
            found |= {*self.switch.relays.values()}
            found |= {self.ifindex} if self.switch.is_flooding else set()
        return found

    @cached_property
    def catch_all(self) -> Slot | None:
        """The slot of a passthru device: the one behind the hash table."""
        size = self.description.shape.slots
        return next((slot for slot in self.slots if slot.position == size), None)


@record
class Live:
    """All pipelines of one topology in one namespace.

    broken    pins that belong to no whole pipeline, or an empty directory (left by a run that
              was killed)
    orphans   ids of the programs that the broken ones of links hold
    strays    devices (name, ifindex) with a gate that belongs to none
    features  XDP features of the devices asked for, by name (None: the kernel does not tell)
    foreign   programs on the devices asked for, and on what is above them, that no link of ours
              put there, in words, by name
    offloads  features of the devices asked for, of their ports and other ends, by name
    tuned     features that the topology has switched, and whether they were on
    """

    topology: str
    directory: Path
    pipelines: Mapping[str, LivePipeline] = field(default_factory=dict)
    broken: tuple[Path, ...] = ()
    orphans: frozenset[int] = frozenset()
    strays: tuple[tuple[str, int], ...] = ()
    features: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    offloads: Mapping[str, Offloads] = field(default_factory=dict)
    tuned: Tuned = field(default_factory=dict)
