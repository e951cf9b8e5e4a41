"""What one device's steps mean for those above, below and beside it."""

from __future__ import annotations

from xdpctl.plan import stacking
from xdpctl.plan.claims import wish
from xdpctl.plan.draft import Draft, number
from xdpctl.plan.link_operations import ChangeLink
from xdpctl.plan.operation import Action, Difference
from xdpctl.plan.steps import Key


class Neighbours(Draft):
    """Addresses, administrative states, MTUs."""

    def vacate(self) -> None:
        """Whoever takes an address, or goes up with one that another has as well, waits for the
        step that frees it.
        """
        for wanted in self.survey.wanted.values():
            readdressed = "address" in wanted.comparison.changes
            if not (wanted.new or readdressed or "state" in wanted.comparison.changes):
                continue
            claim, name = wish(wanted), wanted.device.name
            if claim is None:
                continue
            takes = self.addressing(name) if readdressed and not wanted.new else ("settle", name)
            holder, mover = self.claims.deleted.get(claim), self.claims.moving.get(claim)
            if holder is not None and holder != name:
                self.result.require(takes, self.gone(holder))
            if mover is not None and mover != name:
                cut = mover in self.claims.cut
                self.result.require(takes, ("aside", mover) if cut else self.addressing(mover))

    def addressing(self, name: str) -> Key:
        """The step that changes the address of a device that exists."""
        return ("rework", name) if self.last(("rework", name), "address") else ("settle", name)

    def stack(self) -> None:
        """Raise lower before upper, take down upper before lower; the same with MTUs. What goes
        leaves before what it stands on is taken down, to return as it was."""
        for wanted in self.survey.wanted.values():
            name, below = wanted.device.name, wanted.device.parent
            for port in wanted.device.ports:
                if self.goes_down(port) and self.goes_down(name):
                    self.result.require(("settle", port), ("settle", name))
            if below is None:
                continue
            if ("settle", name) in self.result and self.goes_down(below):
                self.result.require(("settle", below), ("settle", name))
            else:
                self.result.require(("settle", name), ("settle", below))
            if ("mtu", name) in self.result and self.falls(name):
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
