"""From a survey to steps, with what each must follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from xdpctl.host.links import birthmark, label
from xdpctl.host.state import Link
from xdpctl.plan import stacking
from xdpctl.plan.compare import NO_PORTS
from xdpctl.plan.forgotten import dragged_along, named_again
from xdpctl.plan.leavers import CLOSED, Leavers
from xdpctl.plan.lines import created, deleted, updated
from xdpctl.plan.link_operations import (
    DEVGROUP,
    ChangeLink,
    CreateLink,
    MoveLink,
    RestoreAddresses,
)
from xdpctl.plan.neighbours import Neighbours
from xdpctl.plan.operation import Difference
from xdpctl.plan.ownership import newborn, owns
from xdpctl.plan.restore import born
from xdpctl.plan.steps import Key, Steps
from xdpctl.plan.survey import Wanted
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import COMMON, table
from xdpctl.topology.model import Value

RESTLESS = stacking.FORGETFUL | {"bridge", "veth", "vlan"}
COMMON_GROUP = next(row for row in COMMON if row.name == "group")


class Emitter(Leavers, Neighbours):
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

    def create(self, wanted: Wanted) -> None:
        """A device that is not there: created down, labelled, and settled in the end."""
        device, name = wanted.device, wanted.device.name
        late = self.late(wanted)
        if not wanted.twin:
            born = {k: v for k, v in device.properties.items() if k not in late}
            operation = CreateLink(
                name, replace(device, properties=born), birthmark(self.survey.name)
            )
            self.result.add("create", operation, needs=self.room(wanted))
        needs: list[Key] = [("create", wanted.twin or name)]
        self.unmark_peer(wanted, needs)
        self.result.add("label", self.marked(name, device.kind, self.group(wanted)), needs=needs)
        if wanted.twin and device.netns:  # the other end's creation makes it beside that one
            after_that: list[Key] = [*needs, ("label", name)]
            self.result.add("move", MoveLink(name, device.netns), needs=after_that)
        rows = table(device.kind)
        changes = {
            k: Difference(None, v)
            for k, v in late.items()
            if k not in ("state", "mtu") and rows[k] is not COMMON_GROUP
        }
        before_ports = {k: late.pop(k) for k in list(late) if rows[k].change in NO_PORTS}
        changes = {k: v for k, v in changes.items() if k not in before_ports}
        if before_ports:
            early = {k: Difference(None, v) for k, v in before_ports.items()}
            change = ChangeLink(name, device.kind, early)
            self.result.add("rework", change, needs=[("label", name)])
        if "mtu" in late:
            change = ChangeLink(name, device.kind, {"mtu": Difference(None, late["mtu"])})
            self.result.add("mtu", change, needs=[("label", name), *self.ports_in(name)])
        final = device.properties.get("state", self.inherited(wanted))
        if final == "up":
            changes["state"] = Difference("down", "up")
        elif final == "down" and (name in self.members.entries or device.kind == "vlan"):
            changes["state"] = Difference("down", "down")  # entering or its parent raised it
        if changes:
            self.settle(wanted, changes)
        if wanted.link is not None and wanted.link.kind == device.kind:
            after: list[Key] = [("settle", name), ("label", name), ("enslave", name)]
            self.result.add("after", RestoreAddresses(name), needs=after)

    def inherited(self, wanted: Wanted) -> Value | None:
        """The state of what is re-created: as it was, unless a VLAN's parent is down by then."""
        if wanted.link is None or wanted.link.kind != wanted.device.kind:
            return None
        below = self.survey.wanted.get(wanted.device.parent or "")
        if below is not None and wanted.device.kind == "vlan":
            live = below.link.properties.get("state") if below.link else None
            unnamed = self.inherited(below) if below.new else live
            if below.device.properties.get("state", unnamed) != "up":
                return None
        return wanted.link.properties.get("state")

    def late(self, wanted: Wanted) -> dict[str, Value]:
        """The properties that wait until the device exists: those that its ports would disturb.

        A bridge's MTU follows its ports until somebody sets it (br_mtu_auto_adjust), and setting
        it at creation does not count. The second end of a veth is created with the first.
        """
        device, kind = wanted.device, wanted.device.kind
        rows = table(kind)
        return {
            name: value
            for name, value in device.properties.items()
            if not born(kind, name, device.properties)
            or (wanted.twin and name != "peer")
            or (device.ports and isinstance(rows[name].codec, Reference))
            or (kind == "bridge" and name == "mtu")
        }

    def marked(self, name: str, kind: str, group: Value) -> ChangeLink:
        """The label in place of the birthmark."""
        marks = {
            "alias": Difference("", label(self.survey.name)),
            DEVGROUP: Difference(birthmark(self.survey.name), group),
        }
        return ChangeLink(name, kind, marks)

    def unmark_peer(self, wanted: Wanted, needs: Iterable[Key] = ()) -> None:
        """A veth's other end that the file leaves alone: it loses the birthmark, and has no label,
        so that it may go wherever its user wants it."""
        peer = str(wanted.device.properties.get("peer"))
        link = self.survey.host.by_name.get(peer)
        made = (wanted.new and not wanted.twin) or (link and newborn(link, self.survey.name))
        if wanted.device.kind == "veth" and made and peer not in self.survey.wanted:
            marks = {DEVGROUP: Difference(birthmark(self.survey.name), 0)}
            operation = ChangeLink(peer, "veth", marks)
            self.result.add("label", operation, subject=wanted.device.name, needs=needs)

    def group(self, wanted: Wanted) -> Value:
        """The IFLA_GROUP that the device has in the end."""
        rows = table(wanted.device.kind)
        own = wanted.device.properties.get("group")
        return own if own is not None and rows.get("group") is COMMON_GROUP else 0

    def room(self, wanted: Wanted) -> list[Key]:
        """What must have happened before the device can be created."""
        device = wanted.device
        needs: list[Key] = [self.gone(device.name), *(("label", port) for port in device.ports)]
        if device.kind == "veth":
            needs.append(self.gone(str(device.properties.get("peer"))))
        if device.parent is not None:
            needs += [("create", device.parent), ("mtu", device.parent), ("release", device.parent)]
            lower = self.survey.host.by_name.get(device.parent)
            for sibling in self.survey.uppers.get(lower.ifindex, ()) if lower else ():
                if sibling.ifindex in self.survey.dead and exclusive(device.kind, device, sibling):
                    needs.append(self.gone(sibling.name))
        claim = stacking.existing_claim(device.kind, device.parent, device.properties)
        holder = self.claims.deleted.get(claim) if claim is not None else None
        return [*needs, self.gone(holder)] if holder else needs

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

    def references(
        self, wanted: Wanted, changes: Mapping[str, Difference]
    ) -> dict[str, Difference]:
        """Those changes that name a port, which must have entered first."""
        rows = table(wanted.device.kind)
        return {k: v for k, v in changes.items() if isinstance(rows[k].codec, Reference)}

    def settle(self, wanted: Wanted, changes: Mapping[str, Difference]) -> None:
        """The last change of a device."""
        name, device = wanted.device.name, wanted.device
        needs: list[Key] = [(verb, name) for verb in ("create", "label", "rework", "aside")]
        needs += [("release", name), ("enslave", name)]
        if self.references(wanted, {k: v for k, v in changes.items() if k != DEVGROUP}):
            needs += self.ports_in(name)
        self.result.add("settle", ChangeLink(name, device.kind, changes), needs=needs)


def exclusive(kind: str, device: object, sibling: Link) -> bool:
    """Whether the doomed sibling keeps the device from being created on the same lower device."""
    if kind not in stacking.RX_HANDLERS or sibling.kind not in stacking.RX_HANDLERS:
        return False
    mode = getattr(device, "properties", {}).get("mode")
    return stacking.RX_HANDLERS[kind] != stacking.RX_HANDLERS[sibling.kind] or "passthru" in (
        mode,
        sibling.properties.get("mode"),
    )
