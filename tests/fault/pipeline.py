"""Every BPF write of a run, to be counted, refused or died at; and the scenes that make them.

A write is a bpf(2) command that changes something, the mapping of a map's memory, a change to a
pin's directory entry, the netlink message that hangs a gate or takes it off, or the one that
switches features. A store into mapped memory cannot be refused, but died at.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fault.scenes import snapshot
from tests.kernel.conftest import eventually
from tests.kernel.rig import Rig
from xdpctl.apply import run
from xdpctl.bpf import elf_maps, links, maps, pins, program
from xdpctl.bpf.libbpf import library
from xdpctl.datapath import bodies, pipeline_maps, set_maps, slot_map
from xdpctl.datapath.layout import GATE, INDEX, POLICE
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.errors import KernelError, XdpctlError
from xdpctl.host import clsact, uc_list
from xdpctl.host.netlink import Netlink
from xdpctl.host.offloads import Ethtool
from xdpctl.topology.load import load_texts

CALLS = (
    "bpf_map_create", "bpf_map_update_elem", "bpf_map_update_batch", "bpf_map_delete_elem",
    "bpf_prog_load", "bpf_prog_bind_map", "bpf_prog_test_run_opts", "bpf_obj_pin",
    "bpf_link_create", "bpf_link_update", "bpf_link_detach", "bpf_btf_load", "bpf_object__load",
)  # fmt: skip
ENTRIES = ("mkdir", "rename", "unlink")
ERRORS = (errno.EIO, errno.ENOSPC, errno.ENOMEM)
LONG = bool(os.environ.get("XDPCTL_LONG"))
"""Everything everywhere, instead of a stride through the longer scenes."""

PORTS = (8000, 9000, 9001, 9002)
WEB, SHOP, DB, LATE = (f"02:00:00:00:00:{number}" for number in (10, 11, 12, 13))


Refusals = list[XdpctlError | None]


def is_gate(message: bytes) -> bool:
    """Whether a netlink message is of a qdisc, filter or list of addresses, not of a link: these
    have their tests.
    """
    (kind,) = struct.unpack_from("=H", message, 4)
    return kind in (
        clsact.RTM_NEWQDISC, clsact.RTM_DELQDISC, clsact.RTM_NEWTFILTER, clsact.RTM_DELTFILTER,
        uc_list.RTM_NEWNEIGH, uc_list.RTM_DELNEIGH,
    )  # fmt: skip


@dataclass
class Writes:
    """Stands around everything that writes and calls `meet` with each write's number, from 1.

    `meet` returns an errno for a write to be refused with, 0 for it to be made.
    """

    meet: Callable[[int], int]
    count: int = 0
    names: list[str] = field(default_factory=list)

    def arm(self, patch: pytest.MonkeyPatch) -> None:
        """From here on, until `patch` is undone."""
        for name in CALLS:
            patch.setattr(library(), name, partial(self._call, name, getattr(library(), name)))
        for name in ENTRIES:
            patch.setattr(os, name, self._entry(name, getattr(os, name)))
        patch.setattr(Netlink, "batch", self._batch(Netlink.batch))
        patch.setattr(Ethtool, "switch", self._switching(Ethtool.switch))
        patch.setattr(mmap, "mmap", self._mapping(mmap.mmap))

    def arm_stores(self, patch: pytest.MonkeyPatch) -> None:
        """Every single store into the dispatcher's tables counts as a write, too."""

        def store(words: memoryview, at: int, value: int) -> None:
            self._met("store")
            words[at] = value

        patch.setattr(slot_map, "store", store)

    def begin(self) -> None:
        """Count anew."""
        self.count = 0
        self.names.clear()

    def _met(self, name: str) -> int:
        self.count += 1
        self.names.append(name)
        return self.meet(self.count)

    def _call(self, name: str, original: Callable[..., int], *arguments: Any) -> int:
        refused = self._met(name)
        return -refused if refused else original(*arguments)

    def _mapping(self, original: Callable[..., mmap.mmap]) -> Callable[..., mmap.mmap]:
        def mapping(*arguments: Any) -> mmap.mmap:
            refused = self._met("mmap")
            if refused:
                raise OSError(refused, os.strerror(refused))
            return original(*arguments)

        return mapping

    def _batch(self, original: Callable[..., Refusals]) -> Callable[..., Refusals]:
        def batch(netlink: Netlink, requests: Sequence[tuple[bytes, str]]) -> Refusals:
            outcomes: Refusals = []
            for request in requests:
                refused = self._met(request[1]) if is_gate(request[0]) else 0
                if refused:
                    outcomes.append(KernelError(request[1], refused))
                else:
                    outcomes += original(netlink, [request])
            return outcomes

        return batch

    def _switching(self, original: Callable[..., None]) -> Callable[..., None]:
        def switch(ethtool: Ethtool, ifindex: int, features: Any, operation: str) -> None:
            refused = self._met("switch")
            if refused:
                raise KernelError(operation, refused)
            original(ethtool, ifindex, features, operation)

        return switch

    def _entry(self, name: str, original: Callable[..., None]) -> Callable[..., None]:
        def entry(path: Any, *arguments: Any, **options: Any) -> None:
            known = Path(os.fsdecode(path))
            changes = known.exists() != (name == "mkdir")
            if changes and known.is_relative_to(pins.ROOT):
                refused = self._met(name)
                if refused:
                    raise OSError(refused, os.strerror(refused), os.fsdecode(path))
            original(path, *arguments, **options)

        return entry


@dataclass(frozen=True, slots=True)
class Scene:
    """A way from one topology to another ("" for none); `room` as bodies.ROOM, if it matters."""

    name: str
    first: str
    second: str
    room: int | None = None

    def __str__(self) -> str:
        return self.name


BASE = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, state: up, xdp: {{enabled: true, mode: native, policy: guard}}}}
  web0: {{kind: macvlan, parent: eth0, address: "{WEB}", state: up, xdp: {{policy: web}}}}
  shop0: {{kind: macvlan, parent: eth0, address: "{SHOP}", state: up, xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, address: "{DB}", state: up, xdp: {{policy: db}}}}
policies:
  guard: {{rules: [{{name: never, match: {{udp.dport: 9999}}, action: drop}}]}}
  web: {{default: drop, rules: [{{name: only, match: {{udp.dport: 9000}}, action: pass}}]}}
  db: {{default: drop, rules: [{{name: one, match: {{udp.dport: 9001}}, action: pass}}]}}
"""
SHOP_LINE = next(line for line in BASE.splitlines(keepends=True) if "shop0" in line)
LATE_LINE = SHOP_LINE.replace("shop0", "late0").replace(SHOP, LATE)
ADDED = BASE.replace(SHOP_LINE, SHOP_LINE + LATE_LINE)
EDITED = BASE.replace("udp.dport: 9000", "udp.dport: 8000")
RENAMED = BASE.replace("policy: web", "policy: www").replace("  web: {d", "  www: {d")
MOVED = BASE.replace(SHOP_LINE, SHOP_LINE.replace("policy: web", "policy: db"))
GENERIC = BASE.replace("mode: native", "mode: generic")
OFF = BASE.replace("enabled: true", "enabled: false")

BRIDGE = "  br0: {kind: bridge, ports: [eth0], state: up, xdp: {enabled: true, policy: guard}}\n"
BRIDGED = (
    BASE.replace("parent: eth0", "parent: br0")
    .replace("xdp: {enabled: true, mode: native, ", "xdp: {")
    .replace("  web0:", BRIDGE + "  web0:")
)
"""The pipeline stands on the bridge's port, which has a stage of its own."""
PORT_MORE = BRIDGED.replace("[eth0]", "[eth0, tap0]").replace(
    "  br0:", "  tap0: {kind: tap, state: up, xdp: {policy: web}}\n  br0:"
)
OFF_PORTS = BRIDGED.replace("enabled: true", "enabled: true, mode: generic")

OBJECT = Path(tempfile.gettempdir()) / f"xdpctl-fault-{os.getpid()}" / "mine.bpf.o"
"""A user's own program, compiled before the first test (conftest.py)."""
USER_PIN = pins.BPFFS / f"xdpctl-fault-{os.getpid()}"
"""Where a map of it is pinned; destroy leaves that alone."""
RULES = """
      - {name: away, match: {udp.dport: 9003}, action: {redirect: tap0}}
      - {name: mine, match: {udp.dport: 9004}, action: {userspace: mine}}
      - {name: slow, match: {udp.dport: 9005}, action: {limit: 10/minute}}
      - {name: one, match: {ip4.saddr: "@one"}, action: count}
      - {name: many, match: {ip4.saddr: "@many"}, action: count}
      - {name: kind, match: {ip4.saddr: "@kind"}, action: count}
"""
TAPS = """\
  tap0: {kind: tap, multi_queue: off, state: up, address: "02:00:00:00:00:20"}
  tap1: {kind: tap, state: up, address: "02:00:00:00:00:21"}
"""
SETS = """\
sets:
  one: {type: ip4, entries: [192.0.2.1, 192.0.2.2]}
  many: {type: ip4, entries: [192.0.2.1, 192.0.2.2]}
  kind: {type: ip4, entries: [192.0.2.1, 192.0.2.2]}
"""
NAMING = (
    BASE.replace("policies:", TAPS + "policies:").replace(
        "web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}",
        "web:\n    default: drop\n    rules:\n"
        "      - {name: only, match: {udp.dport: 9000}, action: pass}" + RULES.rstrip(),
    )
    + SETS
)
"""Sets, limits and targets."""
ENTRIES_CHANGED = NAMING.replace(
    "one: {type: ip4, entries: [", "one: {type: ip4, entries: [1.1.1.1, "
)
ENTRIES_CHANGED = ENTRIES_CHANGED.replace(
    "many: {type: ip4, entries: [192.0.2.1", "many: {type: ip4, entries: [1.1.1.1"
)
NAMED_CHANGED = (
    ENTRIES_CHANGED.replace(
        "kind: {type: ip4, entries: [", "kind: {type: ip4, entries: [10.9.0.0/16, "
    )
    .replace("redirect: tap0", "redirect: tap1")
    .replace("userspace: mine", "userspace: yours")
)
TAP_ANEW = NAMING.replace("multi_queue: off", "multi_queue: on")
OWNING = NAMING.replace(
    "policies:",
    '  own0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:14", xdp: {policy: own}}\n'
    f"policies:\n  own: {{object: {OBJECT}, maps: {{seen: {USER_PIN}}}}}",
)
"""A user's own program as well."""
OWNING_REBUILT = OWNING.replace("policy: web", "policy: www").replace("  web:\n", "  www:\n")
PARTS = 40
"""bodies.ROOM for which each of the policies is a part of its own."""

SCENES = (
    Scene("first apply", "", BASE),
    Scene("edit", BASE, EDITED),
    Scene("rename", BASE, RENAMED),
    Scene("device added", BASE, ADDED),
    Scene("device removed", ADDED, BASE),
    Scene("other policy", BASE, MOVED),
    Scene("switched off", BASE, OFF),
    Scene("to generic", BASE, GENERIC),
    Scene("to native", GENERIC, BASE),
    Scene("first apply of parts", "", BASE, room=PARTS),
    Scene("edit of parts", BASE, EDITED, room=PARTS),
    Scene("parts no more needed", BASE, RENAMED.replace("policy: db", "policy: www"), room=PARTS),
    Scene("destroy", BASE, ""),
    Scene("sets, targets and an object come", BASE, OWNING),
    Scene("entries change", NAMING, ENTRIES_CHANGED),
    Scene("sets and targets change", NAMING, NAMED_CHANGED),
    Scene("sets and targets rebuilt", OWNING, OWNING_REBUILT),
    Scene("a target made anew", NAMING, TAP_ANEW),
    Scene("sets, targets and an object go", OWNING, BASE),
    Scene("a port comes", BRIDGED, PORT_MORE),
    Scene("a port goes", PORT_MORE, BRIDGED),
    Scene("from the port to the bridge", BRIDGED, OFF_PORTS),
    Scene("from the bridge to its port", OFF_PORTS, BRIDGED),
    Scene("destroy a bridge", BRIDGED, ""),
)
ADOPTING = ("from the port to the bridge", "from the bridge to its port")
"""Scenes in which a link goes from one pipeline to the other: a run that is killed there, or that
cannot undo it, leaves one of them without a link, and its counts are lost."""
ALWAYS_WHOLE = frozenset({"edit"})


def perform(text: str) -> None:
    """Apply the topology, or destroy it."""
    if text:
        run.apply(load_texts({"topo.yaml": text}))
    else:
        run.destroy("edge", missing_ok=True)


def kept(first: str, second: str) -> set[str]:
    """The devices whose stage is the same in both topologies."""
    lines = {line for line in first.splitlines() if "parent:" in line}
    return {line.split(":")[0].strip() for line in lines & set(second.splitlines())}


def nothing_to_do(text: str) -> bool:
    """Whether the plan is empty."""
    return not run.plan(load_texts({"topo.yaml": text}))[0].changed


def prepared(scene: Scene, rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """The rig with the scene's first topology."""
    if scene.room is not None:
        patch.setattr(bodies, "ROOM", scene.room)
    rig.connect()
    if scene.first:
        rig.apply(scene.first)
        listen(rig)
        assert eventually(lambda: bool(probe(rig)))  # a bridge's port takes a moment


def listen(rig: Rig) -> None:
    """Count what arrives at two of the devices."""
    for device in ("web0", "db0"):
        rig.listen(device, PORTS)


def forget(rig: Rig) -> None:
    """Close what was opened on devices that are no more."""
    wire = rig.senders.pop("wire")
    for each in (*rig.receivers.values(), *rig.senders.values()):
        each.close()
    rig.receivers.clear()
    rig.addresses.clear()
    rig.senders = {"wire": wire}


def probe(rig: Rig) -> dict[tuple[str, int], int]:
    """What arrives of one frame to each device and port; 9002 must arrive nowhere."""
    for to, device in ((WEB, "web0"), (DB, "db0")):
        for port in PORTS:
            rig.send(to, port, for_=device, count=1)
    return rig.received()


def counted(rig: Rig) -> dict[str, int]:
    """The frames that each device's policy has dropped."""
    shown = rig.show()
    return {name: shown[name]["xdp"]["verdicts"]["drop"]["packets"] for name in ("web0", "db0")}


@dataclass(frozen=True)
class State:
    """All of the datapath and what it stands on."""

    links: Any
    attached: dict[str, int]
    pins: dict[str, Any]
    pipelines: dict[str, LivePipeline]
    programs: dict[str, list[bytes | None]]
    entries: dict[str, bytes]
    user_pin: bool
    shown: dict[str, Any]

    @classmethod
    def of(cls, rig: Rig) -> State:
        with rig.nic.entered():
            observed = run.observe("edge")
            directory = observed.live.directory
            return cls(
                links=snapshot(rig.nic),
                attached={
                    link.name: link.xdp.program_id for link in observed.host.links if link.xdp
                },
                pins={path.name: pinned(path) for path in pins.entries(directory)}
                | ({"": directory.exists()} if directory.exists() else {}),
                pipelines=dict(observed.live.pipelines),
                programs=members(observed.live.pipelines),
                entries=entries(observed.live.pipelines),
                user_pin=USER_PIN.exists(),
                shown=rig.show(),
            )


def pinned(path: Path) -> Any:
    """What a pin stands for; a link by what it does, as a restored one is a new link."""
    fd = pins.open_pin(path)
    if pins.kind(fd) == "link":
        with links.Link(fd) as link:
            return link.info.type, link.info.program_id, link.info.ifindex
    with maps.Map(fd) as opened:
        if opened.info.type == maps.MapType.XSKMAP:  # who is in it cannot be read
            return opened.info.id
        members = range(opened.info.max_entries)
        return opened.info.id, [opened.lookup(INDEX.pack(number)) for number in members]


def members(pipelines: Mapping[str, LivePipeline]) -> dict[str, list[bytes | None]]:
    """The programs behind the gates, by root."""
    found = {}
    for root, pipeline in pipelines.items():
        opened = pipeline_maps.open_maps(pipeline.maps, pipeline.description)
        found[root] = [opened.programs.lookup(INDEX.pack(at)) for at in (POLICE, GATE)]
        opened.close()
    return found


def entries(pipelines: Mapping[str, LivePipeline]) -> dict[str, bytes]:
    """The keys that the sets hold."""
    found = {}
    for root, pipeline in pipelines.items():
        opened = pipeline_maps.open_maps(pipeline.maps, pipeline.description)
        for name, array in opened.sets.items():
            with set_maps.entries_of(array) as held:
                size = held.info.key_size
                raw = held.read_keys()
                keys = sorted(raw[at : at + size] for at in range(0, len(raw), size))
                found[f"{root} {name}"] = b"".join(keys)
        opened.close()
    return found


class Made:
    """The programs and maps that runs have made, by id, told through a file by children too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def arm(self, patch: pytest.MonkeyPatch) -> None:
        """Write down the id of everything that is made from here on."""
        before_program, before_map = program.Program.__init__, maps.Map.__init__

        def program_made(made: program.Program, fd: int) -> None:
            before_program(made, fd)
            self._note("program", made.info.id)

        def map_made(made: maps.Map, fd: int) -> None:
            before_map(made, fd)
            self._note("map", made.info.id)

        def loaded(*arguments: Any) -> dict[str, elf_maps.UserMap]:
            result = before_loaded(*arguments)
            for each in result.values():
                self._note("map", each.id)
            return result

        before_loaded = elf_maps.opened
        patch.setattr(elf_maps, "opened", loaded)
        patch.setattr(program.Program, "__init__", program_made)
        patch.setattr(maps.Map, "__init__", map_made)

    def _note(self, kind: str, number: int) -> None:
        with open(self.path, "a", encoding="ascii") as file:
            file.write(f"{kind} {number}\n")

    def left(self) -> set[tuple[str, int]]:
        """Those that still exist."""
        text = self.path.read_text(encoding="ascii") if self.path.exists() else ""
        known = {(kind, int(number)) for kind, number in re.findall(r"(\w+) (\d+)", text)}
        self.path.write_text("".join(f"{kind} {number}\n" for kind, number in sorted(known)))
        return {one for one in known if exists(*one)} - {("map", pinned_by_user())}


def pinned_by_user() -> int:
    """The id of the map that is pinned for the user, and to stay."""
    if not USER_PIN.exists():
        return 0
    with maps.Map(pins.open_pin(USER_PIN)) as opened:
        return opened.info.id


def exists(kind: str, number: int) -> bool:
    """Whether the kernel still has the object. It is not opened: a program array that loses its
    last user reference again while it is being cleared is never freed (prog_array_map_clear takes a
    reference for each work item that it schedules, also where that one is waiting already).
    """
    call = {"program": library().bpf_prog_get_next_id, "map": library().bpf_map_get_next_id}
    following = ctypes.c_uint32()
    return not call[kind](number - 1, ctypes.byref(following)) and following.value == number


@contextmanager
def patched() -> Iterator[pytest.MonkeyPatch]:
    """A patch for a part of a test."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
