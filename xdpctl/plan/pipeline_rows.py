"""One root's pipeline, wanted beside loaded: the lines of the plan, and what is to do besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.layout import FLOOD, hub_key, mac_number, mac_text, tag_text
from xdpctl.datapath.loaded import Entry, LivePipeline
from xdpctl.datapath.seats import NO_POLICY, Seat, shown
from xdpctl.datapath.tables import is_policed_by_slot
from xdpctl.host.state import Host, Link
from xdpctl.plan import switch
from xdpctl.plan.named import named
from xdpctl.plan.operation import Action, Difference
from xdpctl.policy.digest import digest


@dataclass(frozen=True)
class Comparison:
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
        return gone or severed or self.before.untidy or any(map(self._is_to_come, self.after.seats))

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
            changes = policy_difference(None, seat.policy) | switched
            yield Action("attach", seat.device, changes, reason)
            return
        changes = self._policy_change(entry, seat.policy) | switched
        if entry.flood != FLOOD[seat.flood]:
            old = next(name for name, number in FLOOD.items() if number == entry.flood)
            changes["xdp.flood"] = Difference(old, seat.flood)
        changes |= self._address_change(seat, entry) | self._tag_change(seat)
        if seat.tag is not None:
            changes |= self._unknown(seat)
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
        """What the loaded pipeline would find the device by; a VLAN has its address in itself."""
        device = self.host.by_name.get(seat.device)
        own = self.before.hubs.get(device.ifindex) if self.before and device else None
        hub = own if seat.tag is not None and self.after.deep else self._hub(seat)
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
        return policy_difference(old, policy) if old != policy else {}

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
    names = sorted((loaded.keys() | wanted.keys()) - {NO_POLICY.name})
    return {name: (loaded.get(name), wanted.get(name)) for name in names}


def _catch_all(pipeline: Pipeline) -> bool:
    return any(seat.catch_all for seat in pipeline.seats)


def policy_difference(before: str | None, after: str | None) -> dict[str, Difference]:
    """As a user wrote it: a device without a policy has a gate for `flood: drop` alone."""
    changes: dict[str, Difference] = {}
    if shown(before) != shown(after):
        changes["xdp.policy"] = Difference(shown(before), shown(after))
    elif before != after:
        drops = [None if name is None else "drop" for name in (before, after)]
        changes["xdp.flood"] = Difference(*drops)
    return changes
