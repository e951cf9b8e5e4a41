"""The steps of what goes, and of ports that leave and enter masters."""

from __future__ import annotations

from xdpctl.host.state import Link
from xdpctl.plan import stacking
from xdpctl.plan.draft import Draft
from xdpctl.plan.forgotten import is_forgotten
from xdpctl.plan.link_operations import ChangeLink, ChangePort, DeleteLink, EnslaveLink
from xdpctl.plan.membership import ONE_EACH, QUEUE, Entry, Exit
from xdpctl.plan.operation import Difference
from xdpctl.plan.places import moving
from xdpctl.plan.restore import restoration
from xdpctl.plan.steps import Key
from xdpctl.plan.survey import Wanted
from xdpctl.topology.kinds import port_table
from xdpctl.topology.model import Value

CLOSED = stacking.CLOSED_BY_MASTER


class Leavers(Draft):
    """Deletion, leaving, entering, and what ports have of their own."""

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

    def emptied(self, link: Link) -> bool:
        """Whether there is a moment at which the master has lost all the ports that it had."""
        ports = self.survey.ports.get(link.ifindex, ())
        return bool(ports) and all(port.name in self.members.exits for port in ports)

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
        forgets = master.kind in stacking.FORGETFUL and self.emptied(master)
        address = master.properties["address"] if forgets else None
        lost = {
            name: value
            for name, value in master.properties.items()
            if value == link.name and is_forgotten(master.kind, name)
        }
        operation = EnslaveLink(link.name, master.name, None, master.kind, port, address, lost)
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
                self.result.hasten(self.gone(upper.name))  # while the port's own policies stand
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

    def tune(self, port: str) -> None:
        """Change a port's own properties. A queue that another one shall have is given up first.

        (bond_option_queue_id_set refuses to give a queue to a second port.)
        """
        master, kind, wanted = self.members.tuning[port]
        changes = dict(wanted)
        queue = changes.get(QUEUE) if kind in ONE_EACH else None
        if queue is not None and queue.before and self.sought(master, queue.before):
            free = ChangePort(port, kind, {QUEUE: Difference(queue.before, 0)})
            self.result.add("free", free, subject=master)
            del changes[QUEUE]
            if queue.after:
                changes[QUEUE] = Difference(0, queue.after)
        if changes:
            self.result.add("port", ChangePort(port, kind, changes), subject=master)

    def sought(self, master: str, queue: Value) -> bool:
        """Whether a port of the master is to have the queue."""
        entering = (one.properties for one in self.members.entries.values() if one.master == master)
        staying = (tuned[2] for tuned in self.members.tuning.values() if tuned[0] == master)
        return any(one.get(QUEUE) == queue for one in entering) or any(
            QUEUE in one and one[QUEUE].after == queue for one in staying
        )

    def down(self, link: Link, subject: str) -> None:
        """Take a link down, unless it is, or its leaving a master does so."""
        leaving = self.members.exits.get(link.name)
        if link.properties.get("state") != "up" or (leaving and leaving.master.kind in CLOSED):
            return
        change = ChangeLink(link.name, link.kind, {"state": Difference("up", "down")})
        self.result.add("down", change, subject=subject)
        for upper in self.survey.uppers.get(link.ifindex, ()):
            self.keep_down(upper, link)

    def move(self, wanted: Wanted, link: Link) -> None:
        """A link goes to another network namespace, down and with its label."""
        name = link.name
        self.down(link, name)
        needs: list[Key] = [("down", name), ("label", name)]
        self.result.add("move", moving(link, wanted.device.netns), needs=needs)

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
