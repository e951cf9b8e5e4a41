"""The steps of devices that are not there yet, and the last change of any device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from xdpctl.host.links import birthmark, label
from xdpctl.host.state import Link
from xdpctl.plan import stacking
from xdpctl.plan.compare import NO_PORTS
from xdpctl.plan.draft import Draft
from xdpctl.plan.link_operations import (
    DEVGROUP,
    ChangeLink,
    CreateLink,
    MoveLink,
    RestoreAddresses,
)
from xdpctl.plan.operation import Difference
from xdpctl.plan.ownership import newborn
from xdpctl.plan.restore import born
from xdpctl.plan.steps import Key
from xdpctl.plan.survey import Wanted
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import COMMON, table
from xdpctl.topology.model import Value

COMMON_GROUP = next(row for row in COMMON if row.name == "group")


class Newcomers(Draft):
    """Devices are created down and without ports, labelled, and settled in the end."""

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
