"""The diff of the datapath: pipelines wanted against pipelines loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.layout import FLOOD, hub_key, mac_number, mac_text, tag_text
from xdpctl.datapath.live import Entry, Live, LivePipeline
from xdpctl.datapath.seats import Seat
from xdpctl.datapath.tables import is_policed_by_slot
from xdpctl.errors import ConflictError
from xdpctl.host.state import Host, Link
from xdpctl.plan import switch
from xdpctl.plan.named import named
from xdpctl.plan.operation import Action, Difference, Operation
from xdpctl.policy.digest import digest


@dataclass(frozen=True, slots=True)
class SyncPipeline(Operation):
    """Make one root's pipeline, its slots and its backstops what the blueprint says.

    before    as loaded (None: nothing is)
    after     as wanted (None: take it away)
    rows      what the user reads of it
    foreign   ids of somebody else's programs, to be taken over, by the device that they are on
    moving    devices that go to another network namespace, and go on counting there
    """

    root: str
    before: LivePipeline | None
    after: Pipeline | None
    rows: tuple[Action, ...]
    foreign: Mapping[str, int] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()

    @property
    def on_ports(self) -> bool:
        """Whether it is to stand on the root's ports."""
        return self.after is not None and self.after.hooks != (self.root,)

    @property
    def by_ports(self) -> bool:
        """Whether ports have a part in it: a program or a stage of their own, before or after."""
        before, after = self.before, self.after
        loaded = before is not None and (before.on_ports or bool(before.description.ports))
        staged = after is not None and any(seat.is_port and seat.policy for seat in after.seats)
        return loaded or staged or self.on_ports

    def actions(self) -> tuple[Action, ...]:
        """One line for the root and one for each device whose stage changes."""
        return self.rows

    def reverse(self) -> tuple[Operation, ...]:
        """Put back what the performer kept."""
        return (RestorePipeline(self.root),)

    def summary(self) -> str:
        """One line."""
        verb = "sync" if self.before and self.after else "attach" if self.after else "detach"
        return f"{verb} the XDP pipeline of {self.root}"


@dataclass(frozen=True, slots=True)
class FollowAddress(Operation):
    """Let the pipeline know the root's address once all else is done.

    A bridge or bond without an address of its own takes one from its ports, which join after the
    pipeline is attached.
    """

    root: str
    after: Pipeline

    def actions(self) -> tuple[Action, ...]:
        """None: it belongs to attaching the pipeline, or to the change of ports."""
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        """What the performer kept is put back."""
        return (RestorePipeline(self.root),)

    def summary(self) -> str:
        """One line."""
        return f"let the XDP pipeline of {self.root} follow its address"


@dataclass(frozen=True, slots=True)
class RestorePipeline(Operation):
    """Undo a SyncPipeline of the same run: the performer kept what it replaced."""

    root: str

    def actions(self) -> tuple[Action, ...]:
        """None: undoing is no part of a plan."""
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        """Nothing: an undo is not undone."""
        return ()

    def summary(self) -> str:
        """One line."""
        return f"put back the XDP pipeline of {self.root}"


@dataclass(frozen=True, slots=True)
class Sweep(Operation):
    """Remove what belongs to no whole pipeline: a run was killed between two writes.

    paths  pins; gates  devices (name, ifindex) that a gate of no pipeline hangs at
    """

    topology: str
    paths: tuple[str, ...]
    gates: tuple[tuple[str, int], ...]

    def actions(self) -> tuple[Action, ...]:
        """One line."""
        names = (*(path.rsplit("/", 1)[-1] for path in self.paths), *(n for n, _ in self.gates))
        return tuple(Action("detach", name, {}, "a gate or pin of no pipeline") for name in names)

    def reverse(self) -> tuple[Operation, ...]:
        """Nothing: what they pinned was in nobody's use."""
        return ()

    def summary(self) -> str:
        """One line."""
        return f"sweep up after a killed run of {self.topology}"


def diff(
    wanted: Collection[Pipeline],
    host: Host,
    live: Live,
    *,
    vanishing: Collection[str] = (),
    moving: Collection[str] = (),
    take_over: bool = False,
) -> list[Operation]:
    """Operations that make the loaded pipelines the wanted ones.

    `vanishing` are devices that the same plan deletes or re-creates: what is loaded for them does
    not count. Nor does what is loaded for those that are `moving` to another network namespace, but
    their counters. Raises ConflictError where somebody else's program is on a root.
    """
    operations: list[Operation] = []
    vanishing = frozenset(vanishing).union(moving)
    desired = {pipeline.root: pipeline for pipeline in wanted}
    seated = {s.device for each in wanted for s in each.seats if s.policy or s.delivered}
    seated |= {each.root for each in wanted if each.delivered}
    strays = tuple(gate for gate in live.strays if gate[0] not in seated | set(vanishing))
    if live.broken or strays:
        paths = tuple(str(path) for path in live.broken)
        operations.append(Sweep(live.topology, paths, strays))
    for root in sorted(live.pipelines.keys() - desired.keys()):
        rows = tuple(_detached(live.pipelines[root], host, vanishing))
        operations.append(SyncPipeline(root, live.pipelines[root], None, rows))
    for root, wanted_pipeline in desired.items():
        link = host.by_name.get(root) if root not in vanishing else None
        before = live.pipelines.get(root)
        pipeline = settled(wanted_pipeline, before)
        foreign = dict(_foreign(pipeline, host, live, vanishing))
        for name in () if take_over else foreign:
            raise ConflictError(
                f"{name} already has an XDP program that is not ours: {live.foreign.get(name, '')}",
                hint="--take-over replaces it",
            )
        comparison = _Comparison(pipeline, before, link, host, vanishing)
        rows = tuple(comparison.rows())
        if rows or comparison.stale():
            operations.append(
                SyncPipeline(root, before, pipeline, rows, foreign, moving=frozenset(moving))
            )
    return operations


def settled(wanted: Pipeline, before: LivePipeline | None) -> Pipeline:
    """Generic stays where native was tried in vain and only an attempt could tell."""
    if before is not None and before.mode == "generic" and wanted.auto and not wanted.certain:
        return wanted.generic("native was tried in vain")
    return wanted


def _foreign(
    wanted: Pipeline, host: Host, live: Live, vanishing: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Programs that no link of ours put where the pipeline is to go; orphans are swept before."""
    ours = {number for each in live.pipelines.values() for number in each.attached}
    for name in (*wanted.hooks, *(seat.device for seat in wanted.delivered)):
        link = host.by_name.get(name) if name not in vanishing else None
        if link is not None and link.xdp is not None:
            number = link.xdp.program_id
            if number not in ours | live.orphans:
                yield name, number


def _detached(before: LivePipeline, host: Host, vanishing: Collection[str]) -> Iterator[Action]:
    yield Action("detach", before.root, {"xdp.mode": Difference(before.mode, None)})
    names = before.description.by_index()
    for entry in before.entries.values():
        device = host.by_index.get(entry.ifindex)
        if device is not None and device.name not in vanishing:
            change = Difference(names[entry.policy].name, None)
            yield Action("detach", device.name, {"xdp.policy": change})
    for index in before.switch.uplinks if before.switch is not None else ():
        device = host.by_index.get(index)
        if device is not None and device.name not in vanishing and index not in before.entries:
            change = Difference(switch.REDIRECT, None)
            yield Action("detach", device.name, {"xdp.deliver": change})


@dataclass(frozen=True)
class _Comparison:
    """One root's pipeline, wanted and loaded."""

    after: Pipeline
    before: LivePipeline | None
    link: Link | None
    host: Host
    vanishing: frozenset[str]

    def rows(self) -> Iterator[Action]:
        """The lines of the plan: the root's first, then each device's."""
        yield from self._root()
        for seat in self.after.seats:
            yield from self._seat(seat)
        yield from self._leaving()

    def stale(self) -> bool:
        """Whether something is loaded for devices that are gone or going: no line of the plan,
        as their deletion is one, but something to clean up.
        """
        if self.before is None:
            return False
        staying = {link.ifindex for link in self.host.links if link.name not in self.vanishing}
        policed = {slot.ifindex for slot in self.before.slots if slot.policy or slot.is_tag}
        loaded = policed | set(self.before.entries)
        live = self.before.switch
        gone = not loaded | set(live.uplinks if live else ()) <= staying
        severed = live is not None and bool(live.severed)
        return (
            gone
            or severed
            or self.before.untidy(self.host)
            or any(map(self._is_to_come, self.after.seats))
        )

    def _is_to_come(self, seat: Seat) -> bool:
        """Whether it is a new device without a policy that the dispatcher must know."""
        is_new = seat.device not in self.host.by_name or seat.device in self.vanishing
        is_vlan = seat.tag is not None and self.after.deep
        known = self.after.unknown == "drop" or bool(self.after.delivered)
        return is_new and (is_vlan or known)

    def _root(self) -> Iterator[Action]:
        before, after = self.before, self.after
        if before is None or self.link is None or before.ifindex != self.link.ifindex:
            changes = {"xdp.mode": Difference(None, after.mode)}
            if after.policy is not None:
                changes["xdp.policy"] = Difference(None, after.policy)
            reason = after.reason if before is None else f"{after.root} lost its program"
            yield Action("attach", after.root, changes, reason)
            return
        described = before.description
        pairs: dict[str, tuple[str | None, str | None]] = {
            "xdp.mode": (before.mode, after.mode),
            "xdp.unknown": (described.unknown, after.unknown),
            "xdp.policy": (described.root_policy, after.policy),
        }
        pairs |= {f"policy {name}": pair for name, pair in _edited(before, after).items()}
        pairs |= named(before, after, self.host, self.vanishing)
        pairs["xdp.on"] = self._hooks(before)
        changes = {name: Difference(old, new) for name, (old, new) in pairs.items() if old != new}
        changes |= switch.of_root(after, before, self.link)
        own = after.address or mac_number(str(self.link.properties["address"]))
        if after.unknown == "drop" and own not in before.by_key and not _catch_all(after):
            changes["xdp.address"] = Difference(None, mac_text(own))
        if changes:
            yield Action("update", after.root, changes)

    def _hooks(self, before: LivePipeline) -> tuple[str | None, str | None]:
        """The devices that the program is attached to, and those that it should be."""
        present = [self.host.by_index.get(hook.ifindex) for hook in before.hooks]
        names = {one.name for one in present if one is not None and one.name not in self.vanishing}
        if names == set(self.after.hooks):
            return None, None
        return ", ".join(sorted(names)) or None, ", ".join(sorted(self.after.hooks))

    def _seat(self, seat: Seat) -> Iterator[Action]:
        """A device's policy, its flood rule, and whether the dispatcher knows its address."""
        device = self.host.by_name.get(seat.device)
        gone = device is None or seat.device in self.vanishing
        entry = None if gone or device is None else self._entry(seat, device)
        switched = switch.of_seat(seat, self.before, None if gone else device, self._loaded_names)
        if seat.policy is None and switched:
            yield Action("update", seat.device, switched)
        elif seat.policy is None:
            if entry is not None:
                yield Action("detach", seat.device, self._policy_change(entry, None))
            elif not gone and (changes := self._unknown(seat) | self._tag_change(seat)):
                yield Action("update", seat.device, changes)
            return
        if entry is None:
            reason = (
                f"dispatched from {self.after.root}"
                if seat.dispatched and self.after.mode == "native"
                else ""
            )
            changes = {"xdp.policy": Difference(None, seat.policy)} | switched
            yield Action("attach", seat.device, changes, reason)
            return
        changes = self._policy_change(entry, seat.policy) | switched
        if entry.flood != FLOOD[seat.flood]:
            old = next(name for name, number in FLOOD.items() if number == entry.flood)
            changes["xdp.flood"] = Difference(old, seat.flood)
        changes |= self._address_change(seat, entry) | self._tag_change(seat)
        if changes:
            yield Action("update", seat.device, changes)

    def _unknown(self, seat: Seat) -> dict[str, Difference]:
        """The device's address, where its own frames would be dropped as somebody unknown's, or
        those would not find it who redirect frames.
        """
        if self.before is None or seat.address is None or seat.is_port or _catch_all(self.after):
            return {}
        if not self.after.delivered and self.after.unknown == "pass":
            return {}
        slot = self.before.by_key.get(self._key(seat) or 0)
        device = self.host.by_name.get(seat.device)
        leads = slot is not None and device is not None and slot.ifindex == device.ifindex
        if leads or (slot is not None and not (self.after.delivered and seat.delivered)):
            return {}
        return {"xdp.address": Difference(None, mac_text(seat.address))}

    def _tag_change(self, seat: Seat) -> dict[str, Difference]:
        """A VLAN device must be found by its tag, be it only for those that stand on it."""
        if seat.tag is None or self.before is None or not self.after.deep:
            return {}
        device = self.host.by_name.get(seat.device)
        hub = self._hub(seat)
        slot = self.before.by_key.get(hub_key(hub, seat.tag)) if hub is not None else None
        if slot is not None and device is not None and slot.ifindex == device.ifindex:
            return {}
        return {"xdp.tag": Difference(None, tag_text(seat.tag))}

    def _hub(self, seat: Seat) -> int | None:
        """The number of the VLAN device that the seat is on; None while the pipeline knows none."""
        if not seat.hub or self.before is None or not self.before.description.deep:
            return 0
        device = self.host.by_name.get(seat.hub)
        return self.before.hubs.get(device.ifindex) if device is not None else None

    def _key(self, seat: Seat) -> int | None:
        """What the loaded pipeline would find the device by."""
        hub = self._hub(seat)
        return hub_key(hub, seat.address or 0) if hub is not None else None

    def _entry(self, seat: Seat, device: Link) -> Entry | None:
        """What is loaded for the device, if its backstop is still attached to it. A port's frames
        all meet the pipeline.
        """
        if self.before is None:
            return None
        if seat.is_port and self.after.mode == "native":
            stage = self.before.description.ports.get(seat.device)
            attached = stage.ifindex if stage is not None else None
        else:
            attached = self.before.backstops.get(seat.device)
        return self.before.entries.get(device.ifindex) if attached == device.ifindex else None

    def _policy_change(self, entry: Entry, policy: str | None) -> dict[str, Difference]:
        old = self._loaded_names.get(entry.policy)
        return {"xdp.policy": Difference(old, policy)} if old != policy else {}

    def _address_change(self, seat: Seat, entry: Entry) -> dict[str, Difference]:
        """The dispatcher must find the device by the address that the file gives it."""
        if seat.address is None or self.before is None or not seat.dispatched:
            return {}
        if seat.is_port or seat.tag is not None:
            return {}
        key = self._key(seat)
        found = self.before.by_key.get(key) if key is not None else None
        slot = self.before.catch_all if seat.catch_all else found
        policy = entry.policy if is_policed_by_slot(self.after) else 0
        if slot is not None and (slot.ifindex, slot.policy) == (entry.ifindex, policy):
            return {}
        old = self._loaded_addresses.get(entry.ifindex)
        new = mac_text(seat.address)
        return {"xdp.address": Difference(old, new)} if old != new else {}

    @cached_property
    def _loaded_names(self) -> dict[int, str]:
        """The loaded policies' names by their numbers."""
        policies = self.before.description.by_index() if self.before is not None else {}
        return {number: layout.name for number, layout in policies.items()}

    @cached_property
    def _loaded_addresses(self) -> dict[int, str]:
        """The address that each device is found by, by its ifindex."""
        slots = [*self.before.by_key.values()] if self.before is not None else []
        return {slot.ifindex: mac_text(slot.address) for slot in reversed(slots) if not slot.is_tag}

    def _leaving(self) -> Iterator[Action]:
        """Devices that keep existing but lose their stage."""
        if self.before is None:
            return
        wanted = {seat.device for seat in self.after.seats}
        for entry in self.before.entries.values():
            device = self.host.by_index.get(entry.ifindex)
            if device is None or device.name in wanted or device.name in self.vanishing:
                continue
            yield Action("detach", device.name, self._policy_change(entry, None))


def _edited(before: LivePipeline, after: Pipeline) -> Mapping[str, tuple[str | None, str | None]]:
    """Digests of the policies that were edited, added or taken away."""
    loaded = {name: layout.digest for name, layout in before.description.policies.items()}
    wanted = {name: digest(policy) for name, policy in after.policies.items()}
    return {
        name: (loaded.get(name), wanted.get(name)) for name in sorted(loaded.keys() | wanted.keys())
    }


def _catch_all(pipeline: Pipeline) -> bool:
    return any(seat.catch_all for seat in pipeline.seats)
