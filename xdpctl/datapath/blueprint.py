"""What the topology wants of the datapath: one pipeline per root, a stage per device. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from xdpctl.datapath.joined import joined_bridges
from xdpctl.datapath.named import devices_of, redirected_to, targets_of
from xdpctl.datapath.native import Features, check_target
from xdpctl.datapath.seats import (
    NO_POLICY,
    Group,
    Seat,
    given_address,
    groups,
    is_policed,
    policy_of,
    seats,
)
from xdpctl.datapath.support import attachment, mode_for
from xdpctl.datapath.switch_notes import switch_notes
from xdpctl.errors import UnsupportedError
from xdpctl.host.state import Host
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Policy, Topology, Verdict, Xdp


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
    support, hooks = attachment(topology, root, host, features, joined=joined)
    known = {**topology.policies, NO_POLICY.name: NO_POLICY}
    policies = {name: known[name] for name in sorted(names)}
    notes = _target_notes(topology, redirected_to(targets_of(policies.values())), host, features,
                          settled, policed)  # fmt: skip
    live = host.by_name.get(root.name)
    here = features.get(root.name) if live is not None and live.kind != "veth" else None
    notes += tuple(switch_notes(group, found, here))
    mode = mode_for(root, wanted, support)
    given, aside = given_address(root), any(seat.delivered for seat in found)
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
        follows=bool(root.ports)
        and given is None
        and (joined or wanted.unknown == "drop" or aside),
        auto=wanted.mode == "auto",
        certain=support.certain,
        notes=notes,
    )
    check_ports(pipeline)
    return pipeline


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
