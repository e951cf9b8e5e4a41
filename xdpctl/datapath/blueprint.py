"""What the topology wants of the datapath: one pipeline per root, a stage per device. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from xdpctl.datapath.named import devices_of, redirected_to, targets_of
from xdpctl.datapath.native import (
    BOND_MODES,
    Support,
    check_target,
    mode_of,
    native_support,
    ports_support,
)
from xdpctl.datapath.seats import Group, Seat, given_address, groups, policy_of, seats
from xdpctl.datapath.switch_notes import switch_notes
from xdpctl.errors import UnsupportedError
from xdpctl.host.state import Host
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Device, Policy, Topology, Verdict, Xdp


@dataclass(frozen=True)
class Pipeline:
    """One root with everything stacked on it, as the file wants it.

    hooks          the devices that the program is attached to: the root, or its ports
    seats          ports, then devices above, lower ones first
    address        the root's own MAC where the file gives it, else None: the one it has
    follows        the root is found by its address, which is that of a port that may yet join
    sources        the files' texts, for the programs' line information
    devices        that the policies name: ports, and what they redirect to
    targets        what they redirect to, by `target_key`
    auto, certain  whether generic XDP may stand in for native, and whether it is known
                   beforehand which of them it will be
    notes          sentences for the user
    """

    root: str
    hooks: tuple[str, ...]
    mode: Literal["native", "generic"]
    reason: str
    policy: str | None
    unknown: Verdict
    seats: tuple[Seat, ...]
    policies: Mapping[str, Policy]
    sources: Mapping[str, str]
    devices: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    address: int | None = None
    follows: bool = False
    auto: bool = True
    certain: bool = True
    notes: tuple[str, ...] = ()

    @cached_property
    def deep(self) -> bool:
        """Whether there are stages between the root and devices (demux.py)."""
        return self.mode == "native" and any(
            seat.tag is not None or seat.bridge for seat in self.seats
        )

    @cached_property
    def delivered(self) -> tuple[Seat, ...]:
        """The devices that frames are redirected into."""
        return tuple(seat for seat in self.seats if seat.delivered)

    @cached_property
    def has_seat(self) -> bool:
        """Whether the root is a seat itself: a bridge, which is for some of the frames alone."""
        return any(seat.device == self.root for seat in self.seats)

    def is_gated(self, seat: Seat) -> bool:
        """Whether a gate polices the device: not a port whose frames all come by the pipeline."""
        return seat.policy is not None and not (seat.is_port and self.mode == "native")

    def with_live_addresses(self) -> Pipeline:
        """The same for a host on which ports have joined: the root has its address, and VLANs have
        theirs from it.
        """
        seats = (
            replace(seat, address=None)
            if seat.device == self.root or seat.tag is not None
            else seat
            for seat in self.seats
        )
        return replace(self, seats=tuple(seats))

    def generic(self) -> Pipeline:
        """The same where native XDP was tried in vain; raises UnsupportedError as `check_ports`."""
        reason = "native was tried in vain"
        found = replace(self, mode="generic", hooks=(self.root,), reason=reason)
        check_ports(found)
        return found


Features = Mapping[str, frozenset[str] | None]


def blueprint(
    topology: Topology,
    host: Host,
    features: Features,
    settled: AbstractSet[str] = frozenset(),
) -> tuple[Pipeline, ...]:
    """The pipelines of a topology, in the file's order of roots.

    `features` are the XDP features of the root devices that exist, by name (None: this kernel
    does not tell). `settled` are targets of redirects that are loaded already: one that takes no
    frames for a while is no reason to refuse all other changes. Raises UnsupportedError where
    `mode: native` cannot be had.
    """
    own = groups(topology)
    joined = joined_bridges(own, host, features)
    found = groups(topology, joined) if joined else own
    policed = {name for name, group in found.items() if is_policed(group)}
    return tuple(
        _pipeline(topology, found[name], host, features, settled, policed, joined=name in joined)
        for name in found
        if name in policed
    )


def root_names(topology: Topology) -> tuple[str, ...]:
    """The devices that a pipeline is wanted on, and their ports: what these can do decides. And
    those that frames are redirected to or into.
    """
    found = {name: group for name, group in groups(topology).items() if is_policed(group)}
    roots = list(found)
    ports = [port for name in roots for port in topology.devices[name].ports]
    ports += [one.name for group in found.values() for one in group.above if one.deliver]
    return (*roots, *ports, *redirected_to(targets_of(topology.policies.values())))


def is_policed(group: Group) -> bool:
    """Whether there is anything for a pipeline to do."""
    wanted = group.root.xdp or Xdp()
    drops = group.root.xdp is not None and wanted.unknown == "drop"
    busy = any(policy_of(device) or device.deliver for device in group.devices)
    return wanted.enabled and (drops or busy)


def joined_bridges(own: Mapping[str, Group], host: Host, features: Features) -> frozenset[str]:
    """Those of the roots `own` that are bridges policed natively, by their ports, as all that the
    file lists can.

    A port that is told anything of its own but a policy, or that something stands on, keeps a
    pipeline of its own; the bridge then has generic XDP. So it has where it drops what is for
    nobody: on its ports that would be what it forwards. So it has with VLAN filtering, which takes
    tags off and puts them on between port and bridge.
    """
    return frozenset(
        name
        for name, group in own.items()
        if group.root.kind == "bridge"
        and is_policed(group)
        and (group.root.xdp or Xdp()).mode != "generic"
        and (group.root.xdp or Xdp()).unknown == "pass"
        and group.root.ports
        and not _filters(group.root, host)
        and all(_may_join(own.get(port), host, features) for port in group.root.ports)
    )


def _filters(bridge: Device, host: Host) -> bool:
    live = host.by_name.get(bridge.name)
    has = live.properties.get("vlan_filtering", False) if live is not None else False
    return bool(bridge.properties.get("vlan_filtering", has))


def _may_join(port: Group | None, host: Host, features: Features) -> bool:
    """Whether it is a root that can run XDP natively, with nothing on it, for sure."""
    if port is None or port.above or port.ports or port.root.parent is not None:
        return False
    wanted = port.root.xdp or Xdp()
    if not wanted.enabled or wanted.mode == "generic" or wanted.unknown == "drop":
        return False
    name = port.root.name
    support = native_support(port.root, host.by_name.get(name), features.get(name))
    return support.native and (support.certain or name not in host.by_name)


def _pipeline(
    topology: Topology,
    group: Group,
    host: Host,
    features: Features,
    settled: AbstractSet[str],
    policed: AbstractSet[str],
    *,
    joined: bool,
) -> Pipeline:
    root = group.root
    wanted = root.xdp or Xdp()
    found = seats(group, host, joined=joined)
    own = None if joined else policy_of(root)
    used = (name for seat in found for name in (seat.policy, seat.egress))
    names = {name for name in (own, *used) if name}
    support, hooks = _attachment(topology, root, host, features, joined=joined)
    policies = {name: topology.policies[name] for name in sorted(names)}
    notes = _target_notes(topology, redirected_to(targets_of(policies.values())), host, features,
                          settled, policed)  # fmt: skip
    live = host.by_name.get(root.name)
    here = features.get(root.name) if live is not None and live.kind != "veth" else None
    notes += tuple(switch_notes(group, found, policies, here))
    mode = _mode(root, wanted, support)
    given = given_address(root)
    pipeline = Pipeline(
        root=root.name,
        hooks=hooks if mode == "native" else (root.name,),
        mode=mode,
        reason=support.reason if wanted.mode == "auto" else f"mode: {wanted.mode}",
        policy=own,
        unknown=wanted.unknown,
        seats=found,
        policies=policies,
        sources=topology.sources,
        devices=devices_of(policies.values()),
        targets=targets_of(policies.values()),
        address=given,
        follows=bool(root.ports) and given is None and (joined or wanted.unknown == "drop"),
        auto=wanted.mode == "auto",
        certain=support.certain,
        notes=notes,
    )
    check_ports(pipeline)
    return pipeline


def _attachment(
    topology: Topology, root: Device, host: Host, features: Features, *, joined: bool
) -> tuple[Support, tuple[str, ...]]:
    """Where XDP goes, and whether natively: on the root, or where it has none on each of its ports.

    Not for a bond whose hash policy alone is in the way: that changes while frames pass, and there
    would be a moment with a program neither here nor there.
    """
    own, on_root = _support(topology, root, host, features), (root.name,)
    hash_policy = root.kind == "bond" and mode_of(root, host.by_name.get(root.name)) in BOND_MODES
    apart = root.kind == "bridge" and not joined
    if own.native or not root.ports or hash_policy or apart:
        return own, on_root
    ports = {
        port: native_support(topology.devices[port], host.by_name.get(port), features.get(port))
        for port in root.ports
        if port in topology.devices
    }
    if len(ports) < len(root.ports) or not all(one.native for one in ports.values()):
        return own, on_root
    reason = f"{own.reason}: natively on each of its ports"
    return Support(native=True, reason=reason, certain=all(p.certain for p in ports.values())), (
        root.ports
    )


def _target_notes(
    topology: Topology,
    targets: tuple[str, ...],
    host: Host,
    features: Features,
    settled: AbstractSet[str],
    policed: AbstractSet[str],
) -> tuple[str, ...]:
    """What to say of targets of redirects; raises UnsupportedError for one that cannot be.

    A root of the file, and a veth's end opposite to one, get what they lack by the program there.
    """
    notes: list[str] = []
    for name in targets:
        device = topology.devices[name]
        peer = str(device.properties.get("peer", ""))
        link = host.by_name.get(name)
        helped = peer in topology.devices or (link is not None and link.lower in host.by_index)
        if name not in policed and peer not in policed and not (device.kind == "veth" and helped):
            note = check_target(device, link, features.get(name), settled=name in settled)
            notes += [note] if note else []
    return tuple(notes)


def check_ports(wanted: Pipeline) -> None:
    """Raise UnsupportedError where a device's policy asks for the port and the root is generic.

    The pipeline tells it by metadata, which a frame loses behind a generic program.
    """
    own = wanted.policies[wanted.policy] if wanted.policy and wanted.mode == "generic" else None
    for rule in [rule for one in (closure(own) if own else ()) for rule in one.rules]:
        if any(name != wanted.root for one in rule.conditions for name in one.devices):
            raise UnsupportedError(
                f"{rule.location}: meta.port: {wanted.root} has generic XDP ({wanted.reason}), "
                "which sees frames when their port is forgotten"
            )
    for seat in wanted.seats if wanted.mode == "generic" else ():
        rules = [rule for one in _chain(wanted, seat) for rule in one.rules]
        for rule in rules:
            if any(condition.key == "meta.port" for condition in rule.conditions):
                raise UnsupportedError(
                    f"{rule.location}: meta.port: no policy of {seat.device} can know the port, "
                    f"as {wanted.root} has generic XDP ({wanted.reason})"
                )


def _chain(wanted: Pipeline, seat: Seat) -> tuple[Policy, ...]:
    """The device's policy and those that it leads to."""
    return closure(wanted.policies[seat.policy]) if seat.policy is not None else ()


def _support(
    topology: Topology,
    root: Device,
    host: Host,
    features: Features,
) -> Support:
    """The root's own, and where it is a bond that of its ports: the file's, else the present ones.

    A port that the file makes is judged by its kind.
    """
    link = host.by_name.get(root.name)
    own = native_support(root, link, features.get(root.name))
    if root.kind != "bond":
        return own
    ports = {
        name: native_support(topology.devices[name], host.by_name.get(name), features.get(name))
        for name in ports_of(root, host)
        if name in topology.devices
    }
    return ports_support(own, ports)


def ports_of(root: Device, host: Host) -> tuple[str, ...]:
    """The ports of a bond, team or bridge: the file's, else the present ones."""
    link = host.by_name.get(root.name)
    present = (one.name for one in host.links if link is not None and one.master == link.ifindex)
    return root.ports or tuple(present)


def _mode(root: Device, wanted: Xdp, support: Support) -> Literal["native", "generic"]:
    if wanted.mode == "native" and not support.native:
        raise UnsupportedError(
            f"{root.location}: {root.name} cannot run XDP natively: {support.reason}",
            hint="mode: auto takes generic XDP where native cannot be had",
        )
    return "native" if support.native and wanted.mode != "generic" else "generic"
