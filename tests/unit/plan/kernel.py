"""A kernel in memory: as much of the semantics of links as decides whether a plan works.

It refuses what the kernel refuses (Refused), and does by itself what the kernel does by itself:
uppers vanish with what they stand on, MTUs are clamped, a bond opens and closes its ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from xdpctl.host.state import Host, Link
from xdpctl.plan import stacking
from xdpctl.plan.compare import NO_PORTS
from xdpctl.plan.link_operations import (
    DEVGROUP,
    ChangeLink,
    ChangePort,
    CreateLink,
    DeleteLink,
    EnslaveLink,
    RestoreAddresses,
)
from xdpctl.plan.operation import Operation
from xdpctl.topology.kinds import port_table, table
from xdpctl.topology.property import Change


class Refused(Exception):  # noqa: N818 (reads as the kernel says it)
    """The kernel says no."""


@dataclass
class Kernel:
    """Links by name; `operstate` and the like do not exist here."""

    links: dict[str, Link] = field(default_factory=dict)
    next_index: int = 1
    writes: int = 0

    def nic(self, name: str, **properties: Any) -> None:
        """A device that exists already."""
        self.add(name, "", {"mtu": 1500, "address": f"aa:00:00:00:00:{len(self.links):02x}",
                            "state": "down"} | properties)  # fmt: skip

    def add(self, name: str, kind: str, properties: dict[str, Any], **rest: Any) -> None:
        """A new link."""
        index = rest.pop("ifindex", 0) or self.next_index
        self.next_index = max(self.next_index, index) + 1
        self.links[name] = Link(index, name, kind, properties, **rest)

    def host(self) -> Host:
        """What a dump shows."""
        return Host("test", tuple(sorted(self.links.values(), key=lambda link: link.ifindex)))

    def perform(self, operations: Iterable[Operation]) -> None:
        """One after the other."""
        for operation in operations:
            self.writes += 1
            try:
                getattr(self, type(operation).__name__)(operation)
            except Refused as refusal:
                raise Refused(f"{operation.summary()}: {refusal}") from None

    def CreateLink(self, operation: CreateLink) -> None:  # noqa: N802
        device = operation.device
        self.refuse(operation.name in self.links, f"{operation.name}: File exists")
        lower = self.links.get(device.parent or "")
        self.refuse(bool(device.parent) and lower is None, f"{operation.name}: no {device.parent}")
        properties = {"state": "down", "mtu": lower.properties["mtu"] if lower else 1500}
        properties |= {"address": f"fe:00:00:00:{operation.group & 255:02x}:00"}
        rows = table(device.kind)
        properties |= {row.name: row.default for row in rows.values() if row.default is not None}
        properties |= device.properties
        properties.pop("group", None)
        if lower:
            self.room(device.kind, properties, lower)
        for other in self.links.values():
            claim = stacking.existing_claim(device.kind, device.parent, properties)
            theirs = stacking.existing_claim(
                other.kind, self.name(stacking.lower_of(other)), other.properties
            )
            self.refuse(claim is not None and claim == theirs, f"{operation.name}: File exists")
        group = {"group": operation.group, "ifindex": operation.ifindex}
        self.add(operation.name, device.kind, properties,
                 lower=lower.ifindex if lower else None, **group)  # fmt: skip
        if device.kind == "veth":
            peer = str(device.properties["peer"])
            self.refuse(peer in self.links, f"{peer}: File exists")
            end = {"state": "down", "mtu": 1500, "address": "fe:00:00:00:00:99",
                   "peer": operation.name}  # fmt: skip
            self.add(peer, "veth", end, group=operation.group,
                     lower=self.links[operation.name].ifindex)  # fmt: skip
            self.set(operation.name, lower=self.links[peer].ifindex)

    def room(self, kind: str, properties: dict[str, Any], lower: Link) -> None:
        """Whether there is room on the lower device."""
        self.refuse(kind in stacking.CLAMPED and properties["mtu"] > lower.properties["mtu"],
                    "Invalid MTU")  # fmt: skip
        if kind not in stacking.RX_HANDLERS:
            return
        self.refuse(lower.master is not None, f"{lower.name} is a port: Device or resource busy")
        for sibling in self.links.values():
            if sibling.lower == lower.ifindex and sibling.kind in stacking.RX_HANDLERS:
                modes = (properties.get("mode"), sibling.properties.get("mode"))
                self.refuse("passthru" in modes, "passthru stands alone: Invalid argument")

    def DeleteLink(self, operation: DeleteLink) -> None:  # noqa: N802
        link = self.links.get(operation.name)
        self.refuse(link is None, f"{operation.name}: No such device")
        if link:
            self.vanish(link)

    def vanish(self, link: Link) -> None:
        """The link and what falls with it."""
        if self.links.pop(link.name, None) is None:
            return
        for other in list(self.links.values()):
            if other.lower == link.ifindex and other.kind in {*stacking.VANISH, "veth"}:
                self.vanish(other)
            elif other.master == link.ifindex:
                self.leave(other, link)

    def ChangeLink(self, operation: ChangeLink) -> None:  # noqa: N802
        link = self.links.get(operation.name)
        if link is None:
            raise Refused(f"{operation.name}: No such device")
        after = {name: change.after for name, change in operation.changes.items()}
        if "alias" in after:
            self.set(link.name, alias=str(after.pop("alias")))
        if DEVGROUP in after:
            self.set(link.name, group=after.pop(DEVGROUP))
        for name in sorted(after, key=lambda one: (one == "state", one)):
            self.change(self.links[link.name], name, after[name])

    def change(self, link: Link, name: str, value: Any) -> None:
        """One property; `state` comes last, as in do_setlink."""
        if link.properties.get(name) == value:
            return
        kind = link.kind or "physical"
        rule = table(kind)[name].change_for(link.properties.get(name), value)
        self.refuse(rule is Change.RECREATE, f"{name} of {link.name}: not supported")
        up = link.properties["state"] == "up"
        self.refuse(rule in {Change.DOWN, Change.DOWN_NO_PORTS} and up, f"{link.name} is up")
        ports = any(other.master == link.ifindex for other in self.links.values())
        self.refuse(rule in NO_PORTS and ports, f"{link.name} has ports")
        after = {**link.properties, name: value}
        if name == "primary" and not value:
            del after[name]
        self.set(link.name, properties=after)
        now = self.links[link.name]
        if name == "mtu":
            self.clamp(now, value)
        if name == "address" or (name == "state" and value == "up"):
            self.busy(now)
        if name == "state":
            self.carry(now)

    def clamp(self, link: Link, mtu: int) -> None:
        """Not above the lower device's; what stands on it comes along."""
        lower = self.links.get(self.name(link.lower) or "")
        if link.kind in stacking.CLAMPED and lower:
            self.refuse(mtu > lower.properties["mtu"], f"{link.name}: Invalid MTU")  # type: ignore[operator]
        for other in list(self.links.values()):
            if other.lower == link.ifindex and other.kind in stacking.CLAMPED:
                least = min(int(str(other.properties["mtu"])), mtu)
                self.set(other.name, properties={**other.properties, "mtu": least})
                self.clamp(self.links[other.name], least)

    def busy(self, link: Link) -> None:
        """macvlan_addr_busy."""
        lower = self.name(stacking.lower_of(link))
        claim = stacking.running_claim(link.kind, lower, link.properties)
        if claim is None:
            return
        below = self.links[lower or ""]
        self.refuse(below.properties["address"] == claim[2], f"{link.name}: Address in use")
        for other in self.links.values():
            same = stacking.running_claim(other.kind, lower, other.properties) == claim
            if other.lower == link.lower and other.name != link.name and same:
                self.refuse(other.properties["state"] == "up", f"{link.name}: Address in use")

    def carry(self, link: Link) -> None:
        """VLANs go up and down with what they stand on."""
        for other in list(self.links.values()):
            if other.kind == "vlan" and other.lower == link.ifindex:
                state = link.properties["state"]
                self.set(other.name, properties={**other.properties, "state": state})
        lower = self.links.get(self.name(link.lower) or "")
        if link.kind == "vlan" and lower and link.properties["state"] == "up":
            self.refuse(lower.properties["state"] == "down", f"{link.name}: Network is down")

    def EnslaveLink(self, operation: EnslaveLink) -> None:  # noqa: N802
        link = self.links.get(operation.name)
        if link is None:
            raise Refused(f"{operation.name}: No such device")
        if link.master is not None:
            self.leave(link, self.links[self.name(link.master) or ""])
        if operation.after is None:
            return
        link = self.links[operation.name]
        master = self.links.get(operation.after)
        if master is None:
            raise Refused(f"{operation.after}: No such device")
        for other in self.links.values():
            busy = other.lower == link.ifindex and other.kind in stacking.RX_HANDLERS
            self.refuse(busy, f"{other.name} is on {link.name}: Device or resource busy")
        alone = not any(other.master == master.ifindex for other in self.links.values())
        own = str(master.properties["address"])
        if master.kind == "bond" and alone and own.startswith("fe:"):  # a random one
            address = {"address": link.properties["address"]}
            self.set(master.name, properties={**master.properties, **address})
        if master.kind in stacking.CLOSED_BY_MASTER:
            self.refuse(link.properties["state"] == "up", "can not be enslaved while up")
            self.set(link.name, properties={**link.properties, "state": "up"})
            self.carry(self.links[link.name])
        self.set(link.name, master=master.ifindex, port=self.port_defaults(master.kind))

    def leave(self, port: Link, master: Link) -> None:
        """A port is released."""
        self.set(port.name, master=None, port={})
        now = self.links.get(master.name)
        others = any(other.master == master.ifindex for other in self.links.values())
        if now and now.kind == "bond" and not others:
            self.set(now.name, properties={**now.properties, "address": "fe:00:00:00:00:b0"})
        if master.kind in stacking.CLOSED_BY_MASTER:
            self.set(port.name, properties={**port.properties, "state": "down"})
            self.carry(self.links[port.name])

    def port_defaults(self, kind: str) -> dict[str, Any]:
        rows = port_table(kind).values()
        return {row.name: row.default for row in rows if row.default is not None}

    def ChangePort(self, operation: ChangePort) -> None:  # noqa: N802
        link = self.links[operation.name]
        self.refuse(link.master is None, f"{link.name} is no port")
        after = {name: change.after for name, change in operation.changes.items()}
        for other in self.links.values():
            queue = after.get("queue_id")
            taken = other.master == link.master and other.port.get("queue_id") == queue
            self.refuse(bool(queue) and taken and other.name != link.name, "queue_id is taken")
        self.set(link.name, port={**link.port, **after})

    def RestoreAddresses(self, operation: RestoreAddresses) -> None:  # noqa: N802
        self.refuse(operation.name not in self.links, f"{operation.name}: No such device")

    def set(self, name: str, **fields: Any) -> None:
        """Replace fields of a link."""
        self.links[name] = replace(self.links[name], **fields)

    def name(self, index: int | None) -> str | None:
        """The name of an ifindex."""
        return next((one.name for one in self.links.values() if one.ifindex == index), None)

    def refuse(self, condition: bool, reason: str) -> None:
        """Say no."""
        if condition:
            raise Refused(reason)
