"""The file beside the host: which device is which link, what differs, what must go."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

from xdpctl.errors import MissingError
from xdpctl.host.links import label
from xdpctl.host.state import Host, Link
from xdpctl.plan import stacking
from xdpctl.plan.compare import SAME, Comparison, compare
from xdpctl.plan.operation import Difference
from xdpctl.plan.ownership import labelled, newborn, owns
from xdpctl.topology.model import Device, Topology


@dataclass(slots=True)
class Wanted:
    """One device of the file and what the host has of it.

    device   as the file has it
    link     the live link, or None
    reason   why the link must be deleted and re-created, or ""
    adopt    the link must be labelled (or, physical, unlabelled), and why
    twin     the veth whose creation creates this device too, or ""
    behind   the address of its other end, which the file does not list, differs from `behind`
    """

    device: Device
    link: Link | None
    comparison: Comparison = SAME
    reason: str = ""
    adopt: str = ""
    twin: str = ""
    behind: Difference | None = None

    @property
    def new(self) -> bool:
        """Whether the device is to be created."""
        return self.link is None or bool(self.reason)

    @property
    def moves(self) -> bool:
        """Whether the link is in another network namespace than the file says, and can stay."""
        return self.link is not None and not self.reason and self.link.netns != self.device.netns

    @property
    def same(self) -> bool:
        """Whether the link is there, ours, and has the properties that the file gives it."""
        unlike = self.adopt or self.moves or self.behind is not None
        return self.comparison is SAME and not unlike and not self.new


@dataclass
class Survey:
    """Everything that the steps are made from. `conflicts` and `notes` are for the user.

    gone_because  why devices of ours are deleted
    """

    name: str
    host: Host
    gone_because: str = "not in the file"
    wanted: dict[str, Wanted] = field(default_factory=dict)
    dead: dict[int, Link] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def label(self) -> str:
        """What our devices are labelled with."""
        return label(self.name)

    @cached_property
    def foreign_uppers(self) -> dict[int, list[Link]]:
        """Those links that stand on each link and stay as they are: not in the file, not to be
        deleted.
        """
        return {
            lower: [
                one for one in links if one.name not in self.wanted and one.ifindex not in self.dead
            ]
            for lower, links in self.uppers.items()
        }

    @cached_property
    def uppers(self) -> dict[int, list[Link]]:
        """The live links that stand on each link."""
        return stacking.uppers(self.host)

    @cached_property
    def ports(self) -> dict[int, list[Link]]:
        """The live ports of each master."""
        return stacking.ports(self.host)

    @cached_property
    def carriers(self) -> frozenset[str]:
        """The devices whose rx_handler is for what the file puts on them."""
        return frozenset(
            one.device.parent
            for one in self.wanted.values()
            if one.device.parent and one.device.kind in stacking.RX_HANDLERS
        )

    def name_of(self, index: int | None) -> str | None:
        """The name of a live link."""
        link = self.host.by_index.get(index) if index is not None else None
        return link.name if link else None

    def alive(self, index: int | None) -> Link | None:
        """The live link, unless it is to be deleted."""
        return (
            self.host.by_index.get(index) if index is not None and index not in self.dead else None
        )


def survey(topology: Topology, host: Host, *, take_over: bool) -> Survey:
    """Look at every device of the file and every link of ours."""
    found = Survey(topology.name, host)
    missing: list[str] = []
    for device in topology.devices.values():
        link = host.by_name.get(device.name)
        wanted = found.wanted[device.name] = Wanted(device, link)
        if device.kind == "physical":
            if link is None:
                missing.append(absent(device, host))
            elif owns(topology.name, link):
                wanted.adopt = "no longer owned: the file calls it physical"
        elif link is not None:
            wanted.adopt, conflict = claim(found, wanted, link, take_over)
            if conflict:
                found.conflicts.append(conflict)
        if link is not None:
            judge(found, wanted, link)
    if missing:
        raise MissingError("; ".join(missing))
    find_twins(found)
    find_others_behind(found)
    doom(found)
    return found


def absent(device: Device, host: Host) -> str:
    """The sentence for a root that is not there."""
    near = get_close_matches(device.name, list(host.by_name), 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{device.location}: there is no device {device.name}{hint}"


def claim(found: Survey, wanted: Wanted, link: Link, take_over: bool) -> tuple[str, str]:
    """Why the link needs our label ("" if it has it), and what is in the way of that."""
    if link.alias == found.label:
        return "", ""
    if newborn(link, found.name):
        return "created by a run that was interrupted", ""
    if link.away is not None and link.away.gate:  # whoever rules the namespace may write the label
        return f"lost its label in network namespace {link.netns}", ""
    peer = stacking.peer_of(found.host, link)
    if peer and wanted.device.kind == "veth" and owns(found.name, peer):
        return f"the other end of {peer.name}", ""
    other = labelled(link)
    where = f" in network namespace {link.netns}" if link.away is not None else ""
    whose = f"belongs to topology {other}" if other else f"exists{where} and is not ours"
    if link.kind == "" or not take_over:
        return "", f"{wanted.device.location}: {link.name} {whose}"
    return (f"taken over from topology {other}" if other else "taken over"), ""


def judge(found: Survey, wanted: Wanted, link: Link) -> None:
    """Compare a device with its link, and see whether it must be re-created."""
    device = wanted.device
    if device.kind != "physical":
        if link.kind != device.kind:
            wanted.reason = f"kind is {link.kind or 'physical'}, not {device.kind}"
        elif device.stands_on is not None:
            lower = found.wanted.get(device.stands_on)
            if lower is not None and lower.reason:
                wanted.reason = f"{device.parent} is replaced"
            elif found.name_of(stacking.lower_of(link)) != device.parent:
                wanted.reason = "parent"
    if not wanted.reason or link.kind == device.kind:
        wanted.comparison = compare(device, link, found.host)
        wanted.reason = wanted.reason or wanted.comparison.forced
    if wanted.reason:
        found.dead[link.ifindex] = link


def find_twins(found: Survey) -> None:
    """Where both ends of a new veth are in the file, the first one's creation makes the second."""
    for wanted in found.wanted.values():
        if wanted.device.kind != "veth":
            continue
        other = found.wanted.get(str(wanted.device.properties.get("peer")))
        if other is None or other.device.kind != "veth" or other.twin or wanted.twin:
            continue
        if wanted.new or other.new:
            for end in (wanted, other):
                if end.link is not None and not end.reason:
                    end.reason = "its other end is replaced"
                    found.dead[end.link.ifindex] = end.link
            other.twin = wanted.device.name


def find_others_behind(found: Survey) -> None:
    """A veth that frames are redirected into: its other end must have the address of who is behind.

    One that is elsewhere cannot be seen; one that the file lists has the address there.
    """
    for wanted in found.wanted.values():
        if not wanted.device.behind or wanted.new or wanted.link is None:
            continue
        peer = stacking.peer_of(found.host, wanted.link)
        if peer is not None and peer.name not in found.wanted:
            live = peer.properties["address"]
            if live != wanted.device.behind:
                wanted.behind = Difference(live, wanted.device.behind)


def doom(found: Survey) -> None:
    """Find what must be deleted: ours that left the file, and whatever falls with what goes."""
    for link in found.host.links:
        if owns(found.name, link) and link.name not in found.wanted and not other_end(found, link):
            found.dead[link.ifindex] = link
    waiting = list(found.dead.values())
    while waiting:
        lower = waiting.pop()
        falls = [one for one in found.uppers.get(lower.ifindex, ()) if one.kind in stacking.VANISH]
        peer = stacking.peer_of(found.host, lower)
        for link in [*falls, *([peer] if peer else [])]:
            if link.ifindex not in found.dead:
                fall(found, link, lower)
                waiting.append(link)


def other_end(found: Survey, link: Link) -> bool:
    """Whether the file names the link, if only as the other end of a veth."""
    peer = stacking.peer_of(found.host, link)
    wanted = found.wanted.get(peer.name) if peer else None
    if wanted is None or wanted.device.kind != "veth":
        return False
    return wanted.device.properties.get("peer") == link.name


def fall(found: Survey, link: Link, lower: Link) -> None:
    """A link that the kernel will delete because another is deleted."""
    wanted = found.wanted.get(link.name)
    if link is stacking.peer_of(found.host, lower):
        if wanted is not None and wanted.device.kind == "physical":
            found.conflicts.append(f"{link.name} is the other end of {lower.name}, which must go")
        elif wanted is not None:
            wanted.reason = wanted.reason or f"{lower.name} is replaced"
        found.dead[link.ifindex] = link
        return
    if wanted is not None and wanted.device.kind != "physical":
        wanted.reason = wanted.reason or f"{lower.name} is replaced"
    elif not owns(found.name, link):
        found.conflicts.append(
            f"{link.name} is not ours and would vanish with {lower.name}, which must be "
            f"{'re-created' if lower.name in found.wanted else 'deleted'}"
        )
    found.dead[link.ifindex] = link
