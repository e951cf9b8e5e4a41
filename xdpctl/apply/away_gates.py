"""The gates at devices in other network namespaces, and the police that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import groupby

from xdpctl.apply.backstops import Device, add_filters, add_qdiscs, remove
from xdpctl.apply.undo import Undo
from xdpctl.bpf import program
from xdpctl.datapath import load
from xdpctl.datapath.away import load_gate
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import INDEX, POLICE_AWAY
from xdpctl.datapath.load import Loaded
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.datapath.tables import Tables
from xdpctl.errors import MissingError
from xdpctl.host import netns
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import AWAY, Away, Host

_MEMBER = INDEX.pack(POLICE_AWAY)


class AwayGates:
    """Hangs them up, and takes them off again. A device is its name and its number."""

    def __init__(
        self,
        opened: PipelineMaps,
        described: Description,
        host: Host,
        undo: Undo,
        kept: ExitStack,
    ) -> None:
        self._opened = opened
        self._described = described
        self._host = host
        self._undo = undo
        self._kept = kept

    def attach(self, devices: Sequence[Device]) -> None:
        """Put its gate at the ingress of each device."""
        if not devices:
            return
        self._undo.add(lambda: remove_away(devices, self._host))  # before: some may be done
        self._hang(devices, self._described)

    def renew(self, before: LivePipeline) -> None:
        """Replace the gates that there are, in place, by those that the description wants."""
        devices = [each for each in before.backstops.items() if each[1] & AWAY]
        if devices:
            self._undo.add(partial(self._hang, devices, before.description))
            self._hang(devices, self._described)

    def detach(self, devices: Sequence[Device]) -> None:
        """Take the gates off these devices."""
        if devices:
            self._undo.add(partial(self._hang, devices, self._described))
            remove_away(devices, self._host)

    def police(
        self,
        after: Pipeline,
        before: LivePipeline | None,
        loaded: Callable[[Loaded], program.Program],
        *,
        renewed: bool,
    ) -> None:
        """Load the police behind these gates, where it is wanted and missing or out of date."""
        old = self._member()
        wanted = any(
            seat.policy and self._host.by_name[seat.device].away is not None for seat in after.seats
        )
        if not wanted or (old is not None and not renewed):
            return
        self._opened.objects.open(after.policies, before.description.objects if before else {})
        police = loaded(
            load.load_police(
                self._described, after.policies, self._opened, after.sources, away=True
            )
        )
        self._undo.add(partial(self._put, old))
        self._put(police)

    def retire(self, wanted: Tables) -> None:
        """Take the police away after the last of these gates."""
        old = self._member()
        if old is not None and not any_away(wanted.entries):
            self._undo.add(partial(self._put, old))
            self._put(None)

    def _member(self) -> program.Program | None:
        value = self._opened.programs.lookup(_MEMBER)
        if value is None:
            return None
        return self._kept.enter_context(program.open_id(INDEX.unpack(value)[0]))

    def _put(self, police: program.Program | None) -> None:
        if police is None:
            self._opened.programs.delete(_MEMBER)
        else:
            self._opened.programs.update(_MEMBER, INDEX.pack(police.fd))

    def _hang(self, devices: Sequence[Device], described: Description) -> None:
        """All qdiscs first, as `backstops` says; a device that is gone has none."""
        found = list(_located(devices, self._host))
        for place, each in _by_place(found):
            with suppress(MissingError), netns.entered(place), Rtnl() as rtnl:
                add_qdiscs(rtnl, [(name, away.ifindex) for name, _, away in each])
        for place, each in _by_place(found):
            with suppress(MissingError), netns.entered(place), Rtnl() as rtnl:
                self._add_filters(rtnl, each, described)

    def _add_filters(self, rtnl: Rtnl, found: Sequence[_Located], described: Description) -> None:
        with ExitStack() as opened:
            programs = {
                away.ifindex: opened.enter_context(
                    load_gate(self._opened.programs.fd, described, number)
                ).fd
                for _, number, away in found
            }
            add_filters(rtnl, [(name, away.ifindex) for name, _, away in found], programs)


def any_away(numbers: Iterable[int]) -> bool:
    """Whether a device in another namespace is among them."""
    return any(number & AWAY for number in numbers)


_Located = tuple[str, int, Away]


def _located(devices: Iterable[Device], host: Host) -> Iterator[_Located]:
    """Where the devices are; those that are gone are left out."""
    for name, number in devices:
        link = host.by_index.get(number)
        if link is not None and link.away is not None:
            yield name, number, link.away


def _by_place(found: Iterable[_Located]) -> Iterator[tuple[str, list[_Located]]]:
    """Those of one namespace together."""
    ordered = sorted(found, key=lambda each: each[2].netns)
    for place, group in groupby(ordered, key=lambda each: each[2].netns):
        yield place, list(group)


def remove_away(devices: Iterable[Device], host: Host) -> None:
    """Take our gates off devices in other namespaces; one that is gone took its own along."""
    for place, found in _by_place(_located(devices, host)):
        with suppress(MissingError), netns.entered(place):
            remove([(name, away.ifindex) for name, _, away in found])
