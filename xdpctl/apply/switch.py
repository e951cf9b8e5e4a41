"""One root's switch, from what is loaded to what is wanted: in which order, with which programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from xdpctl.apply.backstops import Backstops
from xdpctl.apply.undo import Undo
from xdpctl.apply.uplinks import Uplinks
from xdpctl.bpf import program
from xdpctl.bpf.maps import Map
from xdpctl.bpf.program import Program
from xdpctl.datapath import load_switch
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import FLOOD_PROGRAM, INDEX, RELAY
from xdpctl.datapath.load import Loaded
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.datapath.tables import Tables
from xdpctl.host.state import Host
from xdpctl.plan.handed import Handed


class Switch:
    """What a root has for devices that frames are redirected into; nothing where it has none.

    `foreign` are others' programs at the devices, by name, which are to be taken over; `handed`
    is what other pipelines of ours take over.
    """

    def __init__(
        self,
        host: Host,
        directory: Path,
        entry: str,
        undo: Undo,
        kept: ExitStack,
        before: LivePipeline | None,
        foreign: Mapping[str, int],
        handed: Handed,
    ) -> None:
        self._host = host
        self._undo = undo
        self._kept = kept
        self._before = before
        self._foreign = foreign
        self._handed = handed
        self._live = before.switch if before is not None else None
        self._ports = Uplinks(host, directory, entry, undo, kept, self._live)
        self._uplink: Program | None = None

    @property
    def is_broken(self) -> bool:
        """Whether no device has the program any more that the description names, or some have
        another one, with parts of its own: a run was killed while it replaced them.
        """
        if self._live is None or self._before is None:
            return False
        standing = self._live.standing(self._before.description.uplink)
        return not standing or len(standing) < len(self._live.pinned)

    def load(
        self,
        wanted: Description,
        after: Pipeline,
        opened: PipelineMaps,
        keep: Callable[[Loaded], Program],
    ) -> int:
        """The program for the devices, kept with its parts; its id, for the description (0: there
        is none).
        """
        if opened.switch is None:
            return 0
        self._uplink = keep(load_switch.load_uplink(wanted, after, opened))
        return self._uplink.info.id

    def open_up(
        self, wanted: Tables, after: Pipeline, opened: PipelineMaps, *, fresh: bool
    ) -> None:
        """Before anybody finds a new device: redirects lead there, and what comes from it is
        policed. `fresh`: the maps are new, and hold the entries already.

        Addresses go from the NIC's list while the slots tell them, and come when they do: a run
        that is killed in between leaves none that nobody knows of.
        """
        root = self._host.by_name[after.root]
        self._ports.let_go(root, self._addresses(root.ifindex) - _addresses(after))
        if opened.switch is None:
            return
        self._ports.lead(opened.switch, wanted.uplinks, root.ifindex, fresh=fresh)
        self._ports.attach(self._program(), wanted.uplinks, self._foreign)
        if not fresh:
            self._ports.enter(opened.switch, wanted.uplinks)
        old = self._member(opened.programs, RELAY) if self._live is not None else None
        if fresh:
            relay = self._keep(load_switch.load_relay(wanted.description, opened))
            self._put(opened.programs, RELAY, relay, old)
            self._ports.relay(relay, wanted.uplinks, old)
        elif old is not None:
            self._ports.relay(old, wanted.uplinks, None)

    def close_down(
        self, wanted: Tables, after: Pipeline, opened: PipelineMaps, *, fresh: bool
    ) -> None:
        """When everybody finds what is wanted, and the gates hang: clones go there; what is gone
        is taken down.
        """
        if opened.switch is not None:
            root = self._host.by_name[after.root]
            self._ports.take_in(root, _addresses(after))
            self._ports.seat(opened.switch, after, wanted.uplinks, root.ifindex, fresh=fresh)
            self._flood(wanted, after, opened, fresh=fresh)
        if self._live is not None:
            self._take_down(opened, set(wanted.uplinks), is_kept=opened.switch is not None)
            if opened.switch is not None and not fresh:
                self._ports.leave(opened.switch, wanted.uplinks)

    def _addresses(self, root: int) -> set[int]:
        """Those that the root's NIC lets in for the devices that there are."""
        if self._before is None or self._live is None or self._before.ifindex != root:
            return set()
        found = self._before.by_key.values()
        return {slot.address for slot in found if slot.ifindex in self._live.uplinks}

    def remove(self, opened: PipelineMaps) -> None:
        """All of it."""
        if self._live is not None and self._before is not None:
            root = self._host.by_index.get(self._before.ifindex)
            if root is not None:
                self._ports.let_go(root, self._addresses(root.ifindex))
            self._take_down(opened, set(), is_kept=False)

    def _flood(self, wanted: Tables, after: Pipeline, opened: PipelineMaps, *, fresh: bool) -> None:
        """The program at the root."""
        here = (after.root, self._host.by_name[after.root].ifindex)
        hangs = self._live is not None and self._live.is_flooding
        same = self._before is not None and self._before.ifindex == here[1]
        old = self._member(opened.programs, FLOOD_PROGRAM) if self._live is not None else None
        loaded = old
        moved = self._before is not None and self._before.mode != after.mode
        if fresh or moved or loaded is None:
            loaded = self._keep(load_switch.load_flood(wanted.description, opened))
            self._put(opened.programs, FLOOD_PROGRAM, loaded, old)
        hook = Backstops(loaded, self._undo)
        if not (hangs and same):
            hook.attach([here])
        elif old is not None and loaded is not old:
            hook.renew([here], old)

    def _take_down(self, opened: PipelineMaps, staying: set[int], *, is_kept: bool) -> None:
        """Programs off the devices that leave; off the root, too, where the switch goes."""
        assert self._live is not None
        assert self._before is not None
        relay = self._member(opened.programs, RELAY)
        if relay is not None:
            relayed = {
                i for name, i in self._live.relays.items() if name not in self._handed.ingress
            }
            self._ports.unrelay(relay, relayed - staying)
        self._ports.detach(staying, self._handed.xdp)
        flood = self._member(opened.programs, FLOOD_PROGRAM)
        root = self._host.by_index.get(self._before.ifindex)
        floods = self._live.is_flooding and root is not None
        if not is_kept and flood and root and floods and root.name not in self._handed.ingress:
            Backstops(flood, self._undo).detach([(root.name, root.ifindex)])
        if not is_kept:
            for index, member in ((RELAY, relay), (FLOOD_PROGRAM, flood)):
                self._forget(opened.programs, index, member)

    def _forget(self, programs: Map, index: int, member: Program | None) -> None:
        if member is not None:
            key = INDEX.pack(index)
            self._undo.add(partial(programs.update, key, INDEX.pack(member.fd)))
            programs.delete(key)

    def _program(self) -> Program:
        """The one that was loaded now, or that which runs."""
        if self._uplink is None:
            assert self._before is not None
            self._uplink = self._keep(program.open_id(self._before.description.uplink))
        return self._uplink

    def _put(self, programs: Map, index: int, loaded: Program, old: Program | None) -> None:
        key = INDEX.pack(index)
        if old is not None:
            self._undo.add(partial(programs.update, key, INDEX.pack(old.fd)))
        else:
            self._undo.add(partial(programs.delete, key))
        programs.update(key, INDEX.pack(loaded.fd))

    def _member(self, programs: Map, index: int) -> Program | None:
        value = programs.lookup(INDEX.pack(index))
        return self._keep(program.open_id(INDEX.unpack(value)[0])) if value is not None else None

    def _keep(self, loaded: Program) -> Program:
        self._kept.callback(loaded.close)
        return loaded


def _addresses(wanted: Pipeline) -> set[int]:
    """Whose frames the root's NIC must let in."""
    return {seat.address for seat in wanted.delivered if seat.address is not None}
