"""What somebody else has on the host that would make the kernel refuse the plan."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.host.state import Link
from xdpctl.plan.stacking import (
    CLAMPED,
    MACVLANS,
    NOT_RX_HANDLERS,
    RX_HANDLERS,
    existing_claim,
    lower_of,
    running_claim,
)
from xdpctl.plan.survey import Survey, Wanted


def conflicts(survey: Survey, entering: dict[str, str], *, take_over: bool) -> list[str]:
    """All of them, as sentences; `entering` maps each device that becomes a port to its master."""
    found: list[str] = []
    for wanted in survey.wanted.values():
        changes = wanted.comparison.changes
        if wanted.new or "address" in changes:
            found += in_the_way(survey, wanted)
        if wanted.new or "mtu" in changes:
            found += too_long(survey, wanted)
        if wanted.new or "state" in changes:
            found += on_what_is_down(survey, wanted, entering)
        if wanted.moves and wanted.link is not None:
            found += kept_here(survey, wanted, wanted.link)
    for port, master in entering.items():
        found += port_in_the_way(survey, port, master, take_over=take_over)
    return found


def in_the_way(survey: Survey, wanted: Wanted) -> Iterator[str]:
    """What keeps one device from being created, or from having its address."""
    device = wanted.device
    if device.kind == "veth" and wanted.new:
        peer = survey.host.by_name.get(str(device.properties.get("peer")))
        if peer is not None and foreign(survey, peer):
            yield f"{device.location}: {peer.name}, the other end of {device.name}, exists already"
    if device.kind == "vxlan":
        yield from same_claim(survey, wanted, survey.host.links)
    lower = survey.host.by_name.get(device.parent or "")
    if lower is None or lower.ifindex in survey.dead:
        return
    siblings = survey.foreign_uppers.get(lower.ifindex, [])
    if device.kind == "vlan":
        yield from same_claim(survey, wanted, siblings)
    if device.kind in MACVLANS and lower.kind in MACVLANS:
        yield below_the_parent(survey, wanted, lower)
    elif device.kind in RX_HANDLERS:
        if wanted.new:
            yield from handler_in_the_way(survey, wanted, lower, siblings)
            yield from beside_passthru(survey, wanted, lower)
        yield from same_address(survey, wanted, lower, siblings)


def too_long(survey: Survey, wanted: Wanted) -> Iterator[str]:
    """An MTU above that of a lower device of which the file says nothing (EINVAL).

    A bridge's follows its ports, so nobody can tell what it will be.
    """
    device = wanted.device
    lower, below = (
        survey.host.by_name.get(device.parent or ""),
        survey.wanted.get(device.parent or ""),
    )
    if device.kind not in CLAMPED or not lower or lower.kind == "bridge":
        return
    if lower.ifindex in survey.dead or (below and "mtu" in below.device.properties):
        return  # `validate` has compared the two
    mtu, most = device.properties.get("mtu"), lower.properties.get("mtu")
    if isinstance(mtu, int) and isinstance(most, int) and mtu > most:
        yield (
            f"{device.location}: {device.name} cannot have mtu {mtu} on {lower.name}, "
            f"which has {most}; write mtu: {mtu} there, too"
        )


def on_what_is_down(survey: Survey, wanted: Wanted, entering: dict[str, str]) -> Iterator[str]:
    """A VLAN that is to be up on a device that is not (vlan_dev_open: ENETDOWN).

    A port of a bond is brought up by it; a new device is down until it is told otherwise.
    """
    device, parent = wanted.device, wanted.device.parent or ""
    lower, below = survey.host.by_name.get(parent), survey.wanted.get(parent)
    if device.kind != "vlan" or device.properties.get("state") != "up":
        return
    if device.properties.get("loose_binding") or parent in entering:
        return
    if below and "state" in below.device.properties:
        return  # `validate` has compared the two
    if lower is None or lower.properties.get("state") == "down":
        yield (
            f"{device.location}: {device.name} cannot be up on {parent}, which is down; "
            "write state: up there, too"
        )


def below_the_parent(survey: Survey, wanted: Wanted, lower: Link) -> str:
    """Where the kernel puts a macvlan that is told to stand on another (macvlan_common_newlink).

    `validate` says the same of what the file itself names as one.
    """
    device, real = wanted.device, survey.name_of(lower.lower)
    where = f"{real}; write parent: {real}" if real else "a device of another network namespace"
    return (
        f"{device.location}: {device.name} would be a {device.kind} on the {lower.kind} "
        f"{lower.name}: the kernel puts it beside that, on {where}"
    )


def kept_here(survey: Survey, wanted: Wanted, link: Link) -> Iterator[str]:
    """A port would leave its master, which nobody has asked for."""
    if link.master is not None:
        master = survey.name_of(link.master)
        where = wanted.device.netns or survey.host.netns
        yield (
            f"{wanted.device.location}: {link.name} cannot move to network namespace {where} "
            f"while it is a port of {master}"
        )


def foreign(survey: Survey, link: Link) -> bool:
    """Whether the link stays as it is: not in the file, and not to be deleted."""
    return link.name not in survey.wanted and link.ifindex not in survey.dead


def handler_in_the_way(
    survey: Survey, wanted: Wanted, lower: Link, siblings: list[Link]
) -> Iterator[str]:
    """Other users of the lower device's one rx_handler (netdev_rx_handler_register: EBUSY)."""
    device = wanted.device
    master = survey.alive(lower.master)
    if master and foreign(survey, master) and master.kind not in NOT_RX_HANDLERS:
        yield (
            f"{device.location}: {device.name} cannot stand on {lower.name}, "
            f"which is a port of {master.name}"
        )
    for link in siblings:
        driver = RX_HANDLERS.get(link.kind)
        if driver is None:
            continue
        if driver != RX_HANDLERS[device.kind]:
            yield (
                f"{device.location}: {device.name} cannot stand on {lower.name} beside "
                f"{link.kind} {link.name}"
            )
        elif "passthru" in (device.properties.get("mode"), link.properties.get("mode")):
            yield (
                f"{device.location}: {device.name} cannot stand on {lower.name} beside "
                f"{link.name}: a {device.kind} in mode passthru stands alone"
            )


def beside_passthru(survey: Survey, wanted: Wanted, lower: Link) -> Iterator[str]:
    """A device of the file that is in mode passthru, and of whose mode the file says nothing."""
    device = wanted.device
    for link in survey.uppers.get(lower.ifindex, ()) if device.kind in MACVLANS else ():
        own = survey.wanted.get(link.name)
        stays = own is not None and not own.new and "mode" not in own.device.properties
        if stays and link.kind in MACVLANS and link.properties.get("mode") == "passthru":
            yield (
                f"{device.location}: {device.name} cannot stand on {lower.name} beside "
                f"{link.name}, which is in mode passthru: give {link.name} another mode"
            )


def same_address(
    survey: Survey, wanted: Wanted, lower: Link, siblings: list[Link]
) -> Iterator[str]:
    """A MAC address that is taken already (macvlan_addr_busy: EADDRINUSE)."""
    device = wanted.device
    address = device.properties.get("address")
    if device.kind not in MACVLANS or device.properties.get("mode") == "passthru" or not address:
        return
    below = survey.wanted.get(lower.name)
    own = below.device.properties.get("address") if below else None
    if address == (own or lower.properties.get("address")):
        yield f"{device.location}: {device.name} cannot have {address}, which {lower.name} has"
    claim = running_claim(device.kind, lower.name, device.properties)
    for link in siblings:
        if claim == running_claim(link.kind, lower.name, link.properties):
            yield f"{device.location}: {device.name} cannot have {address}, which {link.name} has"


def same_claim(
    survey: Survey, wanted: Wanted, links: tuple[Link, ...] | list[Link]
) -> Iterator[str]:
    """A VLAN or VNI that a device of somebody else's has already (EEXIST)."""
    device = wanted.device
    claim = existing_claim(device.kind, device.parent, device.properties)
    for link in links:
        lower = survey.name_of(lower_of(link)) if link.kind == "vlan" else device.parent
        if not foreign(survey, link) or claim is None or not wanted.new:
            continue
        if claim == existing_claim(link.kind, lower, link.properties):
            yield f"{device.location}: {device.name} is what {link.name} is already"


def port_in_the_way(survey: Survey, port: str, master: str, *, take_over: bool) -> Iterator[str]:
    """What keeps a device from becoming a port."""
    link = survey.host.by_name.get(port)
    where = survey.wanted[master].device.location if master in survey.wanted else ""
    if link is None or link.ifindex in survey.dead:
        return
    holder = survey.alive(link.master)
    if holder and foreign(survey, holder) and not take_over:
        yield f"{where}: {port} cannot be a port of {master}: it is one of {holder.name}"
    for upper in survey.uppers.get(link.ifindex, ()):
        if upper.kind in RX_HANDLERS and foreign(survey, upper):
            yield f"{where}: {port} cannot be a port of {master} while {upper.name} stands on it"
