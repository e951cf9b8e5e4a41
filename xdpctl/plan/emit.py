"""From a survey to steps, with what each must follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from xdpctl.host.links import birthmark, label
from xdpctl.host.state import Link
from xdpctl.plan import stacking
from xdpctl.plan.claims import claims, wish
from xdpctl.plan.lines import created, deleted, updated
from xdpctl.plan.link_operations import (
    DEVGROUP,
    ChangeLink,
    ChangePort,
    CreateLink,
    DeleteLink,
    EnslaveLink,
    RestoreAddresses,
)
from xdpctl.plan.membership import Entry, Exit, membership
from xdpctl.plan.operation import Action, Difference
from xdpctl.plan.ownership import newborn, owns
from xdpctl.plan.restore import born, restoration
from xdpctl.plan.steps import Key, Steps
from xdpctl.plan.survey import Survey, Wanted
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import COMMON, port_table, table
from xdpctl.topology.model import Value

COMMON_GROUP = next(row for row in COMMON if row.name == "group")
CLOSED = stacking.CLOSED_BY_MASTER


class Emitter:
    """Makes the steps of one plan."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.members = membership(survey)
        self.claims = claims(survey)
        self.result = Steps()
        self.deleted_by: dict[str, Key] = {}

    def entering(self) -> dict[str, str]:
        """The devices that become ports, and whose."""
        return {entry.port: entry.master for entry in self.members.entries.values()}

    def steps(self) -> Steps:
        """All steps."""
        self.lines()
        for link in reversed(stacking.lower_first(self.survey.dead.values())):
            self.delete(link)
        for leaving in reversed(self.members.exits.values()):  # so they return in their order
            self.release(leaving)
        for entry in self.members.entries.values():
            self.enslave(entry)
        for port, (master, kind, changes) in self.members.tuning.items():
            self.result.add("port", ChangePort(port, kind, changes), subject=master)
        for wanted in self.survey.wanted.values():
            if wanted.new:
                self.create(wanted)
            elif wanted.link is not None:
                self.change(wanted, wanted.link)
        self.clamp()
        self.vacate()
        self.stack()
        return self.result

    # What the user reads.

    def lines(self) -> None:
        """The lines of the plan, each for the device that it is about."""
        survey, members = self.survey, self.members
        for link in survey.dead.values():
            if link.name not in survey.wanted and owns(survey.name, link):
                self.result.show(self.carrier(link), deleted(link, survey.gone_because))
        for wanted in survey.wanted.values():
            name = wanted.device.name
            if wanted.new:
                self.result.show(name, created(wanted))
            else:
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

    def carrier(self, link: Link) -> str:
        """The link whose deletion deletes this one: itself, or the other end of a veth."""
        peer = stacking.peer_of(self.survey.host, link)
        if peer is not None and peer.ifindex in self.survey.dead and peer.ifindex < link.ifindex:
            return peer.name
        return link.name

    # Deletion, and leaving and entering masters.

    def gone(self, name: str) -> Key:
        """The key of the step that deletes the link."""
        return self.deleted_by.get(name, ("delete", name))

    def delete(self, link: Link) -> None:
        """Delete a link, after what stands on it and after its ports have left."""
        carrier = self.carrier(link)
        self.deleted_by[link.name] = key = ("delete", carrier)
        needs: list[Key] = [("release", link.name)]
        needs += [("release", port.name) for port in self.survey.ports.get(link.ifindex, ())]
        needs += [self.gone(upper.name) for upper in self.survey.uppers.get(link.ifindex, ())]
        if carrier == link.name:
            restore = restoration(link, self.survey.host)
            self.result.add("delete", DeleteLink(link.name, restore))
        self.result.require(key, *needs)

    def release(self, leaving: Exit) -> None:
        """A port leaves; what had to be down for it and was up goes up again."""
        link, master = leaving.link, leaving.master
        rows = port_table(master.kind)
        port = {
            name: value
            for name, value in link.port.items()
            if name in rows and value != rows[name].default
        }
        subject = self.subject(link.name, master.name)
        operation = EnslaveLink(link.name, master.name, None, master.kind, port)
        self.result.add("release", operation, subject=subject)
        if link.name in self.survey.wanted or link.ifindex in self.survey.dead:
            return
        entered = self.members.entries.get(link.name)
        if master.kind in CLOSED and not entered and link.properties.get("state") == "up":
            up = ChangeLink(link.name, link.kind, {"state": Difference("down", "up")})
            self.result.add("settle", up, subject=subject, needs=[("release", link.name)])

    def subject(self, port: str, master: str) -> str:
        """Whose line of the plan a change of membership belongs to."""
        if master in self.result.actions:
            return master
        entry = self.members.entries.get(port)
        return entry.master if entry else port

    def enslave(self, entry: Entry) -> None:
        """A device becomes a port, down first where the master wants that."""
        port, master = entry.port, entry.master
        subject = self.subject(port, master)
        operation = EnslaveLink(port, None, master, entry.kind)
        self.result.add("enslave", operation, subject=subject)
        needs: list[Key] = [("release", port), ("down", port), ("label", port)]
        needs += [("label", master), ("create", master), ("create", port), ("rework", master)]
        link = self.survey.host.by_name.get(port)
        for upper in self.survey.uppers.get(link.ifindex, ()) if link else ():
            if upper.kind in stacking.RX_HANDLERS and upper.ifindex in self.survey.dead:
                needs.append(self.gone(upper.name))
        self.result.require(("enslave", port), *needs)
        if link and link.ifindex not in self.survey.dead and entry.kind in CLOSED:
            self.down(link, subject)
        rows = port_table(entry.kind)
        changes = {
            name: Difference(rows[name].default, value)
            for name, value in entry.properties.items()
            if name in rows and value != rows[name].default
        }
        if changes:
            tuned = ChangePort(port, entry.kind, changes)
            self.result.add("port", tuned, subject=subject, needs=[("enslave", port)])

    def down(self, link: Link, subject: str) -> None:
        """Take a link down, unless it is, or its leaving a master does so."""
        leaving = self.members.exits.get(link.name)
        if link.properties.get("state") != "up" or (leaving and leaving.master.kind in CLOSED):
            return
        change = ChangeLink(link.name, link.kind, {"state": Difference("up", "down")})
        self.result.add("down", change, subject=subject)
        for upper in self.survey.uppers.get(link.ifindex, ()):
            self.keep_down(upper, link)

    def keep_down(self, upper: Link, link: Link) -> None:
        """A VLAN that is down comes up with what it stands on (vlan_device_event): undo that."""
        if upper.kind != "vlan" or upper.properties.get("state") == "up":
            return
        if upper.ifindex in self.survey.dead:
            return
        keep = ChangeLink(upper.name, upper.kind, {"state": Difference("down", "down")})
        self.result.add("keep", keep, subject=link.name)  # its reverse is the last of a rollback
        self.result.require(("down", link.name), ("keep", upper.name))
        if upper.name not in self.survey.wanted:
            needs: list[Key] = [("settle", link.name)]
            self.result.add("after", keep, subject=link.name, needs=needs)

    # Devices of the file.

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
        rows = table(device.kind)
        changes = {
            k: Difference(None, v)
            for k, v in late.items()
            if k not in ("state", "mtu") and rows[k] is not COMMON_GROUP
        }
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
        if comparison.down or comparison.no_ports:
            changes = self.rework(wanted, link, changes)
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

    def vacate(self) -> None:
        """Whoever takes an address waits for the step that frees it."""
        for wanted in self.survey.wanted.values():
            claim, name = wish(wanted), wanted.device.name
            if claim is None or not (wanted.new or "address" in wanted.comparison.changes):
                continue
            takes = ("settle", name) if wanted.new else self.addressing(name)
            holder, mover = self.claims.deleted.get(claim), self.claims.moving.get(claim)
            if holder is not None and holder != name:
                self.result.require(takes, self.gone(holder))
            if mover is not None and mover != name:
                cut = mover in self.claims.cut
                self.result.require(takes, ("aside", mover) if cut else self.addressing(mover))

    def addressing(self, name: str) -> Key:
        """The step that changes the address of a device that exists."""
        return ("rework", name) if self.last(("rework", name), "address") else ("settle", name)

    def ports_in(self, master: str) -> list[Key]:
        """The steps after which a master has its ports."""
        entries, exits = self.members.entries, self.members.exits
        found: list[Key] = [
            ("enslave", one.port) for one in entries.values() if one.master == master
        ]
        found += [("release", one.link.name) for one in exits.values() if one.master.name == master]
        return found

    # What one device means for those above and below it.

    def stack(self) -> None:
        """Raise lower before upper, take down upper before lower; the same with MTUs. What goes
        leaves before what it stands on is taken down, to return as it was."""
        for wanted in self.survey.wanted.values():
            name, below = wanted.device.name, wanted.device.parent
            if below is None:
                continue
            if self.goes_down(below):
                self.result.require(("settle", below), ("settle", name))
            else:
                self.result.require(("settle", name), ("settle", below))
            if self.falls(name):
                self.result.require(("mtu", below), ("mtu", name))
            else:
                self.result.require(("mtu", name), ("mtu", below))

        for link in self.survey.dead.values():
            below = self.survey.name_of(stacking.lower_of(link))
            for key in (("down", below or ""), ("settle", below or "")):
                if key[0] == "down" or self.goes_down(key[1]):
                    self.result.require(key, self.gone(link.name))

    def goes_down(self, name: str) -> bool:
        """Whether the device's last change takes it down."""
        change = self.last(("settle", name), "state")
        return change is not None and change.after == "down"

    def falls(self, name: str) -> bool:
        """Whether the device's MTU is lowered."""
        change = self.last(("mtu", name), "mtu")
        if change is None or change.before is None:
            return False
        return number(change.after) < number(change.before)

    def last(self, key: Key, name: str) -> Difference | None:
        """What a step does to a property."""
        step = self.result.steps.get(key)
        if step is None or not isinstance(step.operation, ChangeLink):
            return None
        return step.operation.changes.get(name)

    def clamp(self) -> None:
        """The kernel lowers the MTU of what stands on a lowered device: do so first, and say so."""
        waiting = [
            (name, number(step.operation.changes["mtu"].after))
            for (verb, name), step in self.result.steps.items()
            if verb == "mtu" and isinstance(step.operation, ChangeLink) and self.falls(name)
        ]
        while waiting:
            name, mtu = waiting.pop(0)
            link = self.survey.host.by_name[name]
            for upper in self.survey.uppers.get(link.ifindex, ()):
                if upper.kind not in stacking.CLAMPED:
                    continue
                if upper.ifindex in self.survey.dead:  # it goes first, to return as it was
                    self.result.require(("mtu", name), self.gone(upper.name))
                    continue
                before = number(upper.properties.get("mtu"))
                if before <= mtu or ("mtu", upper.name) in self.result:
                    self.result.require(("mtu", name), ("mtu", upper.name))
                    continue
                changes = {"mtu": Difference(before, mtu)}
                operation = ChangeLink(upper.name, upper.kind, changes)
                self.result.add("mtu", operation)
                self.result.require(("mtu", name), ("mtu", upper.name))
                reason = f"the mtu of {name} falls to {mtu}"
                self.result.show(upper.name, Action("update", upper.name, changes, reason))
                waiting.append((upper.name, mtu))


def number(value: Value | None) -> int:
    """An MTU as a number; what is not known is the largest there is."""
    return value if isinstance(value, int) else 0xFFFF_FFFF


def exclusive(kind: str, device: object, sibling: Link) -> bool:
    """Whether the doomed sibling keeps the device from being created on the same lower device."""
    if kind not in stacking.RX_HANDLERS or sibling.kind not in stacking.RX_HANDLERS:
        return False
    mode = getattr(device, "properties", {}).get("mode")
    return stacking.RX_HANDLERS[kind] != stacking.RX_HANDLERS[sibling.kind] or "passthru" in (
        mode,
        sibling.properties.get("mode"),
    )
