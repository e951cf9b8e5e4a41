"""Who stands on a root, and how its pipeline finds each: by port, by VLAN tags, by MAC. Pure data.

A frame passes the devices on its way up in their order. So the pipeline runs a device's policy only
where it runs those of all devices below it that have one; the backstop polices the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from xdpctl.datapath.layout import TAG_LEVELS, mac_number, tag_key
from xdpctl.host.state import Host
from xdpctl.record import record
from xdpctl.topology.kinds.vlan import PROTOCOLS
from xdpctl.topology.model import Device, Flood, Location, Policy, Topology, Xdp

DISPATCHED = frozenset({"macvlan", "macvtap"})
"""Kinds that are found by destination MAC."""
MASTERS = frozenset({"bond", "team"})
"""Kinds whose frames have all come by their ports, and go nowhere else."""


@record
class Seat:
    """One device above a root, or a port of it.

    policy      None: it has none
    address     its MAC as a number; None where nobody knows it yet
    dispatched  the pipeline runs its policy; its backstop alone polices it otherwise
    catch_all   a passthru device: takes unicast for every address (`address` is 0 then)
    is_port     frames come to the root by it
    tag         what a VLAN device is found by (layout.tag_key); None: by address
    hub         the VLAN device that it stands on; "": the root
    level       how many VLANs there are below it
    bridge      the bridge with a policy that it stands on; "": none
    delivered   frames are redirected into it; what comes from it meets the policy `egress`
    """

    device: str
    policy: str | None
    flood: Flood = "enforce"
    address: int | None = None
    dispatched: bool = False
    catch_all: bool = False
    is_port: bool = False
    tag: int | None = None
    hub: str = ""
    level: int = 0
    bridge: str = ""
    delivered: bool = False
    egress: str | None = None


@dataclass
class Group:
    """A root with its ports, as far as they are found by it, and all that stands on them."""

    root: Device
    ports: list[Device] = field(default_factory=list)
    above: list[Device] = field(default_factory=list)

    @property
    def devices(self) -> tuple[Device, ...]:
        """All of them."""
        return (self.root, *self.ports, *self.above)


NO_POLICY = Policy("-", "pass", (), Location("", 1, 1))
"""Of a device that has none and yet drops broadcast and multicast (`flood: drop`): what a gate goes
by. No policy of a user's has this name.
"""


def policy_of(device: Device) -> str | None:
    """The policy that is in force on a device, NO_POLICY included."""
    wanted = device.xdp
    if wanted is None or not wanted.enabled:
        return None
    return NO_POLICY.name if wanted.policy is None and wanted.flood == "drop" else wanted.policy


def shown(policy: str | None) -> str | None:
    """A policy's name for users."""
    return None if policy == NO_POLICY.name else policy


def groups(topology: Topology, joined: AbstractSet[str] = frozenset()) -> dict[str, Group]:
    """Every root with what belongs to it.

    Ports belong to their bond or team, which gets all that comes by them; to a bridge where it is
    among `joined`. A port that stands on something itself, or has ports, is its own affair; so are
    those of a bond without XDP.
    """
    master = {
        port: device.name
        for device in topology.devices.values()
        if (device.kind in MASTERS and _is_enabled(device)) or device.name in joined
        for port in device.ports
        if port in topology.devices and _is_plain(topology.devices[port])
    }
    root_of: dict[str, str] = {}
    found: dict[str, Group] = {}
    for device in topology.devices.values():  # lower comes before upper
        below = device.parent if device.parent in root_of else None
        name = root_of[below] if below is not None else master.get(device.name, device.name)
        root_of[device.name] = name
        group = found.setdefault(name, Group(topology.devices[name]))
        if below is not None:
            group.above.append(device)
        elif name != device.name:
            group.ports.append(device)
    return found


def _is_enabled(device: Device) -> bool:
    return device.xdp is None or device.xdp.enabled


def _is_plain(device: Device) -> bool:
    return device.parent is None and not device.ports


def seats(group: Group, host: Host, *, joined: bool) -> tuple[Seat, ...]:
    """The ports, then the devices above, lower ones first; of a joined bridge it is the first."""
    return tuple(_seats(group, host, joined=joined))


def _seats(group: Group, host: Host, *, joined: bool) -> Iterator[Seat]:
    root = group.root
    for port in group.ports:
        yield Seat(port.name, policy_of(port), is_port=True, dispatched=True)
    if joined:
        yield Seat(root.name, policy_of(root), _flood(root), address(root, host), dispatched=True)
    bridge = root.name if joined and policy_of(root) else ""
    ways = {root.name: Seat("", None, dispatched=True, bridge=bridge)}
    hubs = {root.name: ("", 0)}
    for device in group.above:
        below, hub = ways.get(device.parent or ""), hubs.get(device.parent or "", ("", 0))
        seat = _seat(device, below, hub, host, is_bridge=joined)
        hubs[device.name] = hub
        if seat.tag is not None:
            ways[device.name] = seat
            hubs[device.name] = device.name, seat.level
        yield seat


def _seat(
    device: Device, below: Seat | None, hub: tuple[str, int], host: Host, *, is_bridge: bool
) -> Seat:
    """A device on `below`: the root (its seat has no name) or a VLAN; None: on anything else.

    `hub` is the last VLAN on the way up that the pipeline knows, and how many there are: what is
    for the device comes that far, and must be known there.

    Macvlans in mode source are selected by source address, a VLAN that leaves its tag in the frame
    shows its policies other bytes, and a bridge gives a VLAN on it only what is not for others.
    """
    flood, mode = _flood(device), device.properties.get("mode")
    if device.deliver is not None:
        egress = device.xdp.egress if device.xdp is not None and device.xdp.enabled else None
        return Seat(device.name, policy_of(device), flood, address(device, host),
                    dispatched=True, delivered=True, egress=egress)  # fmt: skip
    if device.kind == "vlan" and below is not None and not is_bridge and below.level < TAG_LEVELS:
        whole = device.properties.get("reorder_hdr", True) is True
        return Seat(
            device.name,
            policy_of(device),
            flood,
            address(device, host),
            dispatched=below.dispatched and whole,
            tag=_tag(device),
            hub=below.device,
            level=below.level + 1,
        )
    found = device.kind in DISPATCHED and below is not None and mode != "source"
    on_root = below is not None and below.device == ""
    catch_all = found and mode == "passthru" and on_root
    if below is None or not found or (mode == "passthru" and not on_root):
        return Seat(device.name, policy_of(device), flood, address(device, host),
                    hub=hub[0], level=hub[1])  # fmt: skip
    return Seat(
        device.name,
        policy_of(device),
        flood,
        0 if catch_all else address(device, host),
        dispatched=below.dispatched,
        catch_all=catch_all,
        hub=below.device,
        level=below.level,
        bridge=below.bridge,
    )


def _tag(device: Device) -> int:
    protocol = str(device.properties.get("protocol", "802.1Q"))
    return tag_key(PROTOCOLS[protocol], int(str(device.properties["id"])))


def _flood(device: Device) -> Flood:
    return device.xdp.flood if device.xdp else "enforce"


def address(device: Device, host: Host) -> int | None:
    """The file's, else the one that it has; in another namespace that is followed."""
    given = given_address(device)
    followed = device.derived and bool(device.netns)
    if (given is None or followed) and device.name in host.by_name:
        return mac_number(str(host.by_name[device.name].properties["address"]))
    return given


def given_address(device: Device) -> int | None:
    """The file's."""
    text = device.behind or device.properties.get("address")
    return mac_number(str(text)) if text is not None else None


def policies_at(found: tuple[Seat, ...]) -> Mapping[str, set[str]]:
    """Which policies the pipeline runs: of `ports`, `tags0`, `tags1`, `bridges`, `devices`."""
    places: dict[str, set[str]] = {}
    bridges = {seat.bridge for seat in found if seat.bridge}
    for seat in found:
        if seat.policy is None or not seat.dispatched:
            continue
        if seat.is_port:
            place = ["ports"]
        elif seat.tag is not None:
            place = [f"tags{seat.level - 1}"]
        else:
            place = ["devices", "bridges"] if seat.device in bridges else ["devices"]
        for one in place:
            places.setdefault(one, set()).add(seat.policy)
    return places


def is_policed(group: Group) -> bool:
    """Whether there is anything for a pipeline to do."""
    wanted = group.root.xdp or Xdp()
    drops = group.root.xdp is not None and wanted.unknown == "drop"
    busy = any(policy_of(device) or device.deliver for device in group.devices)
    return wanted.enabled and (drops or busy)
