"""From a survey to steps, with what each must follow."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.host.links import label
from xdpctl.host.state import Link
from xdpctl.plan import stacking
from xdpctl.plan.forgotten import dragged_along, named_again
from xdpctl.plan.leavers import CLOSED, Leavers
from xdpctl.plan.lines import created, deleted, updated
from xdpctl.plan.link_operations import (
    DEVGROUP,
    ChangeLink,
)
from xdpctl.plan.neighbours import Neighbours
from xdpctl.plan.newcomers import Newcomers
from xdpctl.plan.operation import Difference
from xdpctl.plan.ownership import newborn, owns
from xdpctl.plan.steps import Key, Steps
from xdpctl.plan.survey import Wanted
from xdpctl.topology.model import Value

RESTLESS = stacking.FORGETFUL | {"bridge", "veth", "vlan"}


class Emitter(Newcomers, Leavers, Neighbours):
    """Makes the steps of one plan: those of the file's devices in here."""

    def steps(self) -> Steps:
        """All steps."""
        self.lines()
        for link in reversed(stacking.lower_first(self.survey.dead.values())):
            self.delete(link)
        for leaving in reversed(self.members.exits.values()):  # so they return in their order
            self.release(leaving)
        for entry in self.members.entries.values():
            self.enslave(entry)
        for port in self.members.tuning:
            self.tune(port)
        for wanted in self.survey.wanted.values():
            if wanted.new:
                self.create(wanted)
            elif wanted.link is not None and not self.untouched(wanted):
                self.change(wanted, wanted.link)
        self.clamp()
        self.vacate()
        self.stack()
        return self.result

    def lines(self) -> None:
        """The lines of the plan, each for the device that it is about."""
        survey, members = self.survey, self.members
        for link in survey.dead.values():
            if link.name not in survey.wanted and owns(survey.name, link):
                self.result.show_at(
                    ("delete", self.carrier(link)), deleted(link, survey.gone_because)
                )
        for wanted in survey.wanted.values():
            name = wanted.device.name
            if wanted.new:
                old = wanted.link
                below = survey.name_of(stacking.lower_of(old)) if old is not None else None
                self.result.show(name, created(wanted, below))
            elif not wanted.same or members.lists or members.tuning:
                line = updated(wanted, members.lists.get(name), self.tuned(name), survey.name)
                if line is not None:
                    self.result.show(name, line)

    def tuned(self, master: str) -> Mapping[str, Difference]:
        """The changes of its ports' own properties, as `port.property`."""
        return {
            f"{port}.{name}": change
            for port, (owner, _, changes) in self.members.tuning.items()
            if owner == master
            for name, change in changes.items()
        }

    def untouched(self, wanted: Wanted) -> bool:
        """Whether nothing can be to do at a device, as is so for nearly all of thousands.

        Of kinds whose state, address or other end is no affair of their own, nobody can tell yet.
        """
        name = wanted.device.name
        return (
            wanted.same
            and wanted.device.kind not in RESTLESS
            and name not in self.members.entries
            and name not in self.members.exits
            and ("down", name) not in self.result
        )

    def change(self, wanted: Wanted, link: Link) -> None:
        """A device that is there: labelled if need be, and changed as its properties allow."""
        name, kind = wanted.device.name, wanted.device.kind
        comparison = wanted.comparison
        self.unmark_peer(wanted)
        self.adopt(wanted, link)
        if wanted.moves:
            self.move(wanted, link)
        peer = stacking.peer_of(self.survey.host, link)
        if wanted.behind is not None and peer is not None:
            change_behind = ChangeLink(peer.name, "veth", {"address": wanted.behind})
            self.result.add("rework", change_behind, subject=name)
        changes = dict(comparison.changes)
        mtu = changes.pop("mtu", None)
        changes.pop("state", None)
        moved = (
            kind == "bridge" and "mtu" in wanted.device.properties and name in self.members.lists
        )
        if mtu or moved:
            value = wanted.device.properties["mtu"]
            change = mtu or Difference(value, value)
            needs = self.ports_in(name) if kind == "bridge" else []
            self.result.add("mtu", ChangeLink(name, kind, {"mtu": change}), needs=needs)
        if name in self.claims.cut:
            changes["address"] = self.step_aside(link, changes["address"])
        if comparison.down:
            self.down(link, name)
        emptied = kind in stacking.FORGETFUL and self.emptied(link)
        if emptied:
            address = link.properties["address"]
            changes.setdefault("address", Difference(address, address))
        if comparison.down or comparison.no_ports or emptied:
            changes = self.rework(wanted, link, changes)
        changes |= named_again(wanted.device, changes, self.members.entries)
        start, final = self.states(wanted, link)
        if start != final:
            changes["state"] = Difference(start, final)
        if changes:
            self.settle(wanted, changes)

    def rework(
        self, wanted: Wanted, link: Link, changes: Mapping[str, Difference]
    ) -> dict[str, Difference]:
        """Change what must be changed while down or without ports; what is left for the end."""
        name = wanted.device.name
        references = self.references(wanted, changes)
        early = {k: v for k, v in changes.items() if k not in references}
        early |= dragged_along(link, changes)
        needs: list[Key] = [("down", name), ("label", name), ("aside", name)]
        needs += [("release", port.name) for port in self.survey.ports.get(link.ifindex, ())]
        self.result.add("rework", ChangeLink(name, wanted.device.kind, early), needs=needs)
        return references

    def step_aside(self, link: Link, change: Difference) -> Difference:
        """One of those whose addresses go round in a circle takes another one for a while."""
        spare = stacking.spare_address(link.name)
        aside = ChangeLink(link.name, link.kind, {"address": Difference(change.before, spare)})
        self.result.add("aside", aside)
        return Difference(spare, change.after)

    def adopt(self, wanted: Wanted, link: Link) -> None:
        """Label what is taken over or was left unlabelled; unlabel what is physical."""
        if not wanted.adopt:
            return
        alias = "" if wanted.device.kind == "physical" else label(self.survey.name)
        marks: dict[str, Difference] = {}
        if link.alias != alias:
            marks["alias"] = Difference(link.alias, alias)
        if newborn(link, self.survey.name):
            marks[DEVGROUP] = Difference(link.group, self.group(wanted))
        self.result.add("label", ChangeLink(link.name, wanted.device.kind, marks))

    def states(self, wanted: Wanted, link: Link) -> tuple[Value, Value]:
        """The administrative state before the last change of the device, and the final one."""
        name = link.name
        live = link.properties.get("state", "down")
        final = wanted.device.properties.get("state", live)
        leaving, entry = self.members.exits.get(name), self.members.entries.get(name)
        start = live
        if ("down", name) in self.result or (leaving and leaving.master.kind in CLOSED):
            start = "down"
        if entry and entry.kind in CLOSED:
            start = "up"
            final = "up" if "state" not in wanted.device.properties else final
        below = self.survey.wanted.get(wanted.device.parent or "")
        if (
            link.kind == "vlan"
            and final == "down"
            and below
            and ("settle", below.device.name) in self.result
        ):
            start = "up"
        return start, final
