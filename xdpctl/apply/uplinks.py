"""Devices that frames are redirected into: their programs, and the maps that lead to them."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from xdpctl.apply import above, adoption, roots
from xdpctl.apply.backstops import Backstops
from xdpctl.apply.undo import Undo
from xdpctl.bpf import links, pins, program
from xdpctl.bpf.program import Program
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.layout import INDEX
from xdpctl.datapath.live_switch import LiveSwitch
from xdpctl.datapath.pin_names import uplink_pin
from xdpctl.datapath.switch_maps import ROOT_KEY, Places, SwitchMaps, Uplink
from xdpctl.errors import KernelError
from xdpctl.host import uc_list
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Host, Link
from xdpctl.plan.switch import flags

_ABSENT = frozenset({errno.EINVAL, errno.ENODEV})
"""What the kernel says of an ifindex that there is not."""


@dataclass
class Uplinks:
    """One root's devices, from what is loaded to what is wanted.

    `before` is None where there is nothing loaded, or it is given up with its maps.
    """

    host: Host
    directory: Path
    entry: str
    undo: Undo
    kept: ExitStack
    before: LiveSwitch | None

    # --- the maps

    def lead(self, opened: SwitchMaps, wanted: Iterable[int], root: int, *, fresh: bool) -> None:
        """Let redirects lead to the devices and to the root. `fresh`: the maps are new."""
        known = self.before.delivered if self.before is not None and not fresh else {}
        for key, ifindex in {ROOT_KEY: root, **{one: one for one in wanted}}.items():
            if known.get(key) == ifindex:
                continue
            where = INDEX.pack(key)
            if key in known:
                self.undo.add(partial(_lead_back, opened, where, known[key]))
            else:
                self.undo.add(partial(opened.deliver.delete, where))
            opened.deliver.update(where, INDEX.pack(ifindex))

    def enter(self, opened: SwitchMaps, wanted: Mapping[int, Uplink]) -> None:
        """Write the entries that differ."""
        known = self.before.uplinks if self.before is not None else {}
        fresh = {index: one for index, one in wanted.items() if known.get(index) != one}
        replaced = {index: known[index] for index in fresh if index in known}
        added = [INDEX.pack(index) for index in fresh if index not in known]
        self.undo.add(lambda: opened.write_uplinks(replaced))
        self.undo.add(lambda: [opened.uplinks.delete(key) for key in added])
        opened.write_uplinks(fresh)

    def seat(
        self,
        opened: SwitchMaps,
        after: Pipeline,
        wanted: Iterable[int],
        root: int,
        *,
        fresh: bool,
    ) -> None:
        """Who gets clones: those whose gates hang by now."""
        known = self.before is not None and not fresh
        old = self.before.places if self.before is not None and known else Places(0, 0, ())
        kept = Places(root, flags(after), old.devices).moved(frozenset(wanted), opened.capacity)
        if kept != old:
            self.undo.add(partial(opened.write_places, old))
            opened.write_places(kept)

    def leave(self, opened: SwitchMaps, wanted: Iterable[int]) -> None:
        """Take out what is gone, once nobody finds it any more."""
        assert self.before is not None
        staying = set(wanted)
        gone = {i: one for i, one in self.before.uplinks.items() if i not in staying}
        self.undo.add(lambda: opened.write_uplinks(gone))
        for index in gone:
            opened.uplinks.delete(INDEX.pack(index))
        for key, ifindex in self.before.delivered.items():
            if key not in staying and key != ROOT_KEY:
                self.undo.add(partial(_lead_back, opened, INDEX.pack(key), ifindex))
                opened.deliver.delete(INDEX.pack(key))

    def take_in(self, root: Link, wanted: Iterable[int]) -> None:
        """Let the root's NIC take frames for these addresses in."""
        said = f"let {root.name} take frames in"
        known = self.before.taken_in if self.before is not None else frozenset()
        fresh = sorted(one for one in wanted if one not in known)
        self.undo.add(partial(_change_list, root.ifindex, fresh, (), said))
        _change_list(root.ifindex, (), fresh, said)

    def let_go(self, root: Link, gone: Iterable[int]) -> None:
        """Frames for these addresses are nobody's any more."""
        said = f"let {root.name} take frames in no more"
        listed = sorted(gone)
        self.undo.add(partial(_change_list, root.ifindex, (), listed, said))
        _change_list(root.ifindex, listed, (), said)

    # --- the programs

    def attach(self, loaded: Program, wanted: Iterable[int], foreign: Mapping[str, int]) -> None:
        """The program at each device: replaced where a link of ours stands, else attached."""
        pinned = self.before.pinned if self.before is not None else {}
        for ifindex in wanted:
            link = self.host.by_index[ifindex]
            there = pinned.get(ifindex)
            if there is not None:
                if there.program_id != loaded.info.id:
                    old = self._open(there.program_id)
                    roots.update(self.directory / there.name, loaded, old, self.undo)
                continue
            if link.name in foreign:
                roots.evict(link, foreign[link.name], self.undo)
            self._attach(loaded, link)

    def _attach(self, loaded: Program, link: Link) -> None:
        """A link and its pin, over a severed one that may stand there; that of another pipeline
        of ours where the device comes from one.
        """
        path = self.directory / uplink_pin(link.name, self.entry)
        if adoption.take_over(
            loaded, link, "native", path, self.entry, self.host, self.undo, self._keep
        ):
            return
        made = above.create(loaded, link.ifindex, "native", self.directory)
        severed = links.Link(pins.open_pin(path)) if path.exists() else None
        with made:
            pins.replace(made.fd, path)
        self.undo.add(partial(_detach, path, severed))

    def detach(self, staying: set[int], handed: Collection[str]) -> None:
        """Take the program off the others, and away the pins of those that are gone. One that has
        come again has a link of its own by now, under the same name; one that is `handed` to
        another pipeline has its link from it, or will.
        """
        if self.before is None:
            return
        present = self.host.by_index
        taken = {uplink_pin(present[one].name, self.entry) for one in staying if one in present}
        leaving = self.before.pinned.keys() - staying
        others = adoption.links_of_others(self.directory, self.entry) if leaving else set()
        for ifindex in leaving:
            there, device = self.before.pinned[ifindex], present.get(ifindex)
            path = self.directory / there.name
            if there.name in taken or not path.exists():
                continue
            if adoption.unpin_shared(path, others, self.undo):
                continue
            if device is None or device.name not in handed:
                roots.detach(path, self._open(there.program_id), ifindex, "native", self.undo)
        for name in self.before.severed:
            if name not in taken:
                path = self.directory / name
                link = links.Link(pins.open_pin(path))
                pins.remove(path)
                self.undo.add(partial(pins.replace, link.fd, path))
                self.kept.callback(link.close)

    def relay(self, loaded: Program, wanted: Iterable[int], old: Program | None) -> None:
        """The relay at each device that has it not, and at no other; a new one where `old` is."""
        hung = set(self.before.relays.items()) if self.before is not None else set()
        named = [(self.host.by_index[index].name, index) for index in wanted]
        relays = Backstops(loaded, self.undo)
        if old is not None:
            relays.renew([each for each in named if each in hung], old)
        relays.attach([each for each in named if each not in hung])

    def unrelay(self, loaded: Program, gone: Iterable[int]) -> None:
        """Take the relay off these devices."""
        present = self.host.by_index
        named = [(present[index].name, index) for index in gone if index in present]
        Backstops(loaded, self.undo).detach(named)

    def _open(self, number: int) -> Program:
        return self._keep(program.open_id(number))

    def _keep(self, opened: Program) -> Program:
        self.kept.callback(opened.close)
        return opened


def _lead_back(opened: SwitchMaps, key: bytes, ifindex: int) -> None:
    """A device that comes back yet is the rollback's to mend."""
    try:
        opened.deliver.update(key, INDEX.pack(ifindex))
    except KernelError as error:
        if error.errno not in _ABSENT:
            raise


def _change_list(ifindex: int, gone: Iterable[int], added: Iterable[int], operation: str) -> None:
    with Rtnl() as rtnl:
        uc_list.remove(rtnl, ifindex, gone, operation)
        uc_list.add(rtnl, ifindex, added, operation)


def _detach(path: Path, severed: links.Link | None) -> None:
    with links.Link(pins.open_pin(path)) as link:
        link.detach()  # at once: the pin's removal is carried out later
    if severed is None:
        pins.remove(path)
    else:
        pins.replace(severed.fd, path)
