"""Packets through the compiled programs by BPF_PROG_TEST_RUN: nothing attached, nothing pinned.

The programs and maps are those of a real apply, made for this run alone. The root's program runs
as it is. Where a packet goes from there is the kernel's to decide, which `delivery` knows; at each
device on its way the police runs as behind the device's gate.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from xdpctl.bpf import program
from xdpctl.bpf.asm import R0, R1, R2, R3, R6, Assembler, W
from xdpctl.datapath import blueprint, counter_map, load
from xdpctl.datapath.layout import INDEX, METADATA, POLICE, is_signed
from xdpctl.datapath.pipeline_maps import create_maps, write_entries
from xdpctl.datapath.tables import Tables, tables
from xdpctl.datapath.ways_out import TC_DROP
from xdpctl.errors import XdpctlError
from xdpctl.host.state import Host
from xdpctl.topology.model import Outcome, Topology
from xdpctl.trace.delivery import is_group, takers
from xdpctl.trace.journey import Blocks, Hop, Journey
from xdpctl.trace.scene import LOOPBACK, Scene

OUTCOMES: Mapping[int, Outcome] = {0: "drop", 1: "drop", 2: "pass", 3: "tx", 4: "redirect"}
"""enum xdp_action; XDP_ABORTED drops as well."""

PAGE_SHARE, PADDED = 2048, 64
"""Bytes of a packet that a tc test run surely takes, and those that it wants of an IP packet."""
PRIORITY = 32
"""Offset in struct __sk_buff: where the packet's true length is handed in."""
FN_CHANGE_TAIL = 38
NOT_RUN = 77
"""What the stand-in gate returns where the police has not run: no TC_ACT_."""
METADATA_ROOM = 256


class Simulation:
    """A topology's datapath, loaded for this process alone; use it in a `with` block.

    Raises NotPermitted where BPF is, and UnsupportedError as a plan would.
    """

    def __init__(self, topology: Topology) -> None:
        self.scene = Scene(topology)
        self._kept = ExitStack()
        wanted = blueprint.blueprint(topology, self.scene.host, {})
        self._wanted = {pipeline.root: pipeline for pipeline in wanted}
        self._loaded: dict[tuple[str, str], _Datapath] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kept.close()

    def journey(
        self, root: str, frame: bytes, towards: str | None = None, port: str = ""
    ) -> Journey:
        """The way of a frame that comes in by `root`, or by a `port` of it.

        Of a frame to a group each device above gets a copy: the one `towards` this device is
        followed; without one the only one, or else the root's own.
        """
        datapath = self._datapath(root, port or root)
        hops: list[Hop] = []
        marked = frozenset[int]()
        if datapath is not None:
            hops, outcome, frame, marked = datapath.enter(root, port, frame)
            if outcome != "pass":
                return Journey(tuple(hops), outcome, root, frame)
            if self._wanted[root].has_seat and self._goes_up(root, frame):
                more, outcome = datapath.unless(marked, root, frame)
                hops += more
                if outcome != "pass":
                    return Journey(tuple(hops), outcome, root, frame)
        device = root
        while (taken := self._next(device, frame, towards)) is not None:
            device, frame = taken
            # the pipeline need not know an address to which it passes everything
            hops = [hop for hop in hops if hop.policy is not None]
            if datapath is None:
                continue
            more, outcome = datapath.unless(marked, device, frame)
            hops += more
            if outcome != "pass":
                return Journey(tuple(hops), outcome, device, frame)
        return Journey(tuple(hops), "pass", device, frame)

    def _goes_up(self, bridge: str, frame: bytes) -> bool:
        """Whether a bridge gives the frame to its own device, not (only) to a port."""
        to = frame[:6].hex(":")
        own = self.scene.addresses[bridge]
        return is_group(frame) or to == own or bool(takers(self.scene, bridge, frame))

    def _next(self, device: str, frame: bytes, towards: str | None) -> tuple[str, bytes] | None:
        """The device above that takes the frame, and what it gets."""
        found = [(upper.name, rest) for upper, rest in takers(self.scene, device, frame)]
        if towards is not None and is_group(frame):
            way = self.scene.way(towards)
            found = [each for each in found if each[0] in way]
        return found[0] if len(found) == 1 else None

    def _datapath(self, root: str, port: str) -> _Datapath | None:
        """The loaded pipeline of a root; None where nothing on it has a policy.

        Where its policies name ports there is one for each: the frames of a test run come in by the
        loopback device, whose place the port takes.
        """
        wanted = self._wanted.get(root)
        if wanted is None:
            return None
        matters = bool(wanted.devices) or any(s.is_port and s.policy for s in wanted.seats)
        key = (root, port if matters else "")
        if key not in self._loaded:
            host = self.scene.entered_by(port) if matters else self.scene.host
            self._loaded[key] = _Datapath(self.scene, host, wanted, self._kept)
        return self._loaded[key]


class _Datapath:
    """One root's programs and maps."""

    def __init__(
        self, scene: Scene, host: Host, wanted: blueprint.Pipeline, kept: ExitStack
    ) -> None:
        self._tables = tables(scene.topology.name, wanted, None, host)
        self._host = host
        names = {link.ifindex: link.name for link in host.links}
        self._blocks = Blocks(self._tables.description, self._tables.entries, names)
        self._maps = create_maps(self._tables)
        kept.callback(self._maps.close)
        described, policies = self._tables.description, wanted.policies
        self._maps.objects.open(policies, {}, private=True)
        pipeline = load.load_pipeline(described, policies, self._maps, wanted.sources)
        kept.callback(pipeline.close)
        port = LOOPBACK if LOOPBACK in names else None
        police = load.load_police(described, policies, self._maps, wanted.sources, port)
        kept.callback(police.close)
        self._maps.programs.update(INDEX.pack(POLICE), INDEX.pack(police.program.fd))
        self._pipeline = pipeline.program
        self._gate = program.load(_gate(self._maps.programs.fd), program.Flavour.TC, "simulated")
        kept.callback(self._gate.close)
        self._counted = counter_map.snapshot(self._maps.counters)
        self._buckets = list(_buckets(self._tables))

    def enter(
        self, root: str, port: str, frame: bytes
    ) -> tuple[list[Hop], Outcome, bytes, frozenset[int]]:
        """By the port, which polices where the pipeline does not, and the root's program."""
        hops: list[Hop] = []
        if self._tables.description.mode == "generic" and port not in ("", root):
            hops, outcome = self.unless(frozenset(), port, frame)
            if outcome != "pass":
                return hops, outcome, frame, frozenset()
        more, outcome, frame, marked = self.root(frame)
        return [*hops, *more], outcome, frame, marked

    def unless(
        self, marked: frozenset[int], device: str, frame: bytes
    ) -> tuple[list[Hop], Outcome]:
        """The police at a device that the frame is not marked for."""
        ifindex = self._host.by_name[device].ifindex
        return ([], "pass") if ifindex in marked else self.device(ifindex, frame)

    def root(self, frame: bytes) -> tuple[list[Hop], Outcome, bytes, frozenset[int]]:
        """The root's program: hops, outcome, the frame, the ifindexes that it is marked for.

        Each frame is the first: the buckets of limits are full.
        """
        limits = self._maps.limits.words()
        for bucket in self._buckets:
            limits[bucket] = 0
        run = self._pipeline.run(frame, room=METADATA_ROOM)
        marked = frozenset[int]()
        metadata, after = run.frame[: -len(frame)], run.frame[-len(frame) :]
        if len(metadata) >= METADATA.size:
            _, high, ifindex, _ = METADATA.unpack_from(metadata)
            lower = struct.iter_unpack("=I", metadata[METADATA.size :])
            passed = {ifindex, *(index for (index,) in lower)}
            marked = frozenset(passed if is_signed(high) else ())  # a part has not passed it
        hops, outcome = self._blocks.hops(self._moved()), OUTCOMES[run.code]
        if hops and hops[-1].verdict == "redirect":
            outcome = "redirect"  # the program found none of the devices there, and would drop it
        return hops, outcome, after, marked

    def device(self, ifindex: int, frame: bytes) -> tuple[list[Hop], Outcome]:
        """The police at a device; nothing where it has no policy."""
        entry = self._tables.entries.get(ifindex)
        if entry is None:
            return [], "pass"
        write_entries(self._maps.entries, {LOOPBACK: entry})
        context = bytearray(PRIORITY + 4)
        struct.pack_into("=I", context, PRIORITY, len(frame))
        shown = frame[:PAGE_SHARE].ljust(PADDED, b"\0")
        run = self._gate.run(shown, context=bytes(context), room=METADATA_ROOM + len(frame))
        if run.code == NOT_RUN:
            raise XdpctlError(f"the kernel makes no packet of {len(frame)} bytes for a test run")
        hops = self._blocks.hops(self._moved(), "backstop")
        return hops, "drop" if run.code == TC_DROP else hops[-1].verdict if hops else "pass"

    def _moved(self) -> list[int]:
        """The counters that went up since the last look."""
        before, self._counted = self._counted, counter_map.snapshot(self._maps.counters)
        return counter_map.changed(before, self._counted)


def _buckets(made: Tables) -> Iterator[int]:
    """The numbers of the buckets that rules with a limit have."""
    described = made.description
    layouts = described.by_index()
    stages = [(entry.block, layouts[entry.policy]) for entry in made.entries.values()]
    if described.root_policy is not None:
        stages.append((described.root_block, described.policies[described.root_policy]))
    for block, layout in stages:
        yield from (block + rule.counter for rule in layout.rules if rule.action == "limit")


def _gate(programs_fd: int) -> bytes:
    """A gate that lets nothing through by itself, and gives the packet its true length first.

    A test run refuses packets of IP that are shorter than its header, and longer ones than a
    page: what it is given is cut or filled up, and put right here.
    """
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R2, R6, PRIORITY)
    asm.mov(R3, 0)
    asm.call(FN_CHANGE_TAIL)
    asm.jump("!=", R0, 0, "failed")
    asm.tail_call(R6, programs_fd, POLICE)
    asm.label("failed")
    asm.mov(R0, NOT_RUN)
    asm.exit()
    return asm.assemble()
