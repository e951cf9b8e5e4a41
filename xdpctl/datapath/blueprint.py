"""What the topology wants of the datapath: one pipeline per root, a stage per device. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from xdpctl.datapath.layout import mac_number
from xdpctl.datapath.named import devices_of, redirected_to, targets_of
from xdpctl.datapath.native import Support, check_target, native_support, ports_support
from xdpctl.errors import UnsupportedError
from xdpctl.host.state import Host
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Device, Flood, Policy, Topology, Verdict, Xdp

DISPATCHED = frozenset({"macvlan", "macvtap"})
"""Kinds that the root finds by destination MAC."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One stacked device.

    policy      None: it has none
    address     its MAC as a number; None where nobody knows it yet
    dispatched  the pipeline finds it by that address; its backstop alone polices it otherwise
    catch_all   a passthru device: takes unicast for every address (`address` is 0 then)
    """

    device: str
    policy: str | None
    flood: Flood = "enforce"
    address: int | None = None
    dispatched: bool = False
    catch_all: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One root with everything stacked on it, as the file wants it.

    address        the root's own MAC where the file gives it, else None: the one it has
    follows        `unknown: drop` on a root whose address is that of a port that may yet join
    sources        the files' texts, for the programs' line information
    devices        that the policies name: ports, and what they redirect to
    targets        what they redirect to, by `target_key`
    auto, certain  whether generic XDP may stand in for native, and whether it is known
                   beforehand which of them it will be
    notes          sentences for the user
    """

    root: str
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


def blueprint(
    topology: Topology,
    host: Host,
    features: Mapping[str, frozenset[str] | None],
    settled: AbstractSet[str] = frozenset(),
) -> tuple[Pipeline, ...]:
    """The pipelines of a topology, in the file's order of roots.

    `features` are the XDP features of the root devices that exist, by name (None: this kernel
    does not tell). `settled` are targets of redirects that are loaded already: one that takes no
    frames for a while is no reason to refuse all other changes. Raises UnsupportedError where
    `mode: native` cannot be had.
    """
    groups = _by_root(topology)
    found = (
        _pipeline(topology, topology.devices[root], above, host, features, settled)
        for root, above in groups.items()
    )
    return tuple(pipeline for pipeline in found if pipeline is not None)


def root_names(topology: Topology) -> tuple[str, ...]:
    """The devices that a pipeline is wanted on, and their ports: what these can do decides. And
    those that frames are redirected to.
    """
    groups = _by_root(topology)
    roots = [name for name, above in groups.items() if _is_policed(topology.devices[name], above)]
    ports = [port for name in roots for port in topology.devices[name].ports]
    return (*roots, *ports, *redirected_to(targets_of(topology.policies.values())))


def _is_policed(root: Device, above: list[Device]) -> bool:
    """Whether there is anything for a pipeline to do."""
    wanted = root.xdp or Xdp()
    drops = root.xdp is not None and wanted.unknown == "drop"
    return wanted.enabled and (drops or any(_policy(device) for device in (root, *above)))


def _by_root(topology: Topology) -> dict[str, list[Device]]:
    """Every device without a parent, with all that stands on it."""
    lowest: dict[str, str] = {}
    groups: dict[str, list[Device]] = {}
    for device in topology.devices.values():  # lower comes before upper
        if device.parent is None or device.parent not in lowest:
            lowest[device.name] = device.name
            groups[device.name] = []
        else:
            lowest[device.name] = lowest[device.parent]
            groups[lowest[device.name]].append(device)
    return groups


def _policy(device: Device) -> str | None:
    return device.xdp.policy if device.xdp is not None and device.xdp.enabled else None


def _pipeline(
    topology: Topology,
    root: Device,
    above: list[Device],
    host: Host,
    features: Mapping[str, frozenset[str] | None],
    settled: AbstractSet[str],
) -> Pipeline | None:
    wanted = root.xdp or Xdp()
    seats = tuple(_seat(device, root, host) for device in above)
    names = {name for name in (_policy(root), *(seat.policy for seat in seats)) if name}
    if not _is_policed(root, above):
        return None
    _refuse_ports(topology, root)
    support = _support(topology, root, host, features)
    policies = {name: topology.policies[name] for name in sorted(names)}
    notes = _target_notes(topology, redirected_to(targets_of(policies.values())), host, features,
                          settled)  # fmt: skip
    pipeline = Pipeline(
        root=root.name,
        mode=_mode(root, wanted, support),
        reason=support.reason if wanted.mode == "auto" else f"mode: {wanted.mode}",
        policy=_policy(root),
        unknown=wanted.unknown,
        seats=seats,
        policies=policies,
        sources=topology.sources,
        devices=devices_of(policies.values()),
        targets=targets_of(policies.values()),
        address=_given_address(root),
        follows=bool(root.ports) and wanted.unknown == "drop" and _given_address(root) is None,
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
    features: Mapping[str, frozenset[str] | None],
    settled: AbstractSet[str],
) -> tuple[str, ...]:
    """What to say of targets of redirects; raises UnsupportedError for one that cannot be.

    A root of the file, and a veth's end opposite to one, get what they lack by the program there.
    """
    groups = _by_root(topology)
    policed = {name for name, above in groups.items() if _is_policed(topology.devices[name], above)}
    notes: list[str] = []
    for name in targets:
        device = topology.devices[name]
        peer = str(device.properties.get("peer", ""))
        if name not in policed and peer not in policed:
            link = host.by_name.get(name)
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
    features: Mapping[str, frozenset[str] | None],
) -> Support:
    """The root's own, and where it is a bond that of its ports: the file's, else the present ones.

    A port that the file makes is judged by its kind.
    """
    link = host.by_name.get(root.name)
    own = native_support(root, link, features.get(root.name))
    if root.kind != "bond":
        return own
    present = [one.name for one in host.links if link is not None and one.master == link.ifindex]
    ports = {
        name: native_support(topology.devices[name], host.by_name.get(name), features.get(name))
        for name in root.ports or present
        if name in topology.devices
    }
    return ports_support(own, ports)


def _mode(root: Device, wanted: Xdp, support: Support) -> Literal["native", "generic"]:
    if wanted.mode == "native" and not support.native:
        raise UnsupportedError(
            f"{root.location}: {root.name} cannot run XDP natively: {support.reason}",
            hint="mode: auto takes generic XDP where native cannot be had",
        )
    return "native" if support.native and wanted.mode != "generic" else "generic"


def _seat(device: Device, root: Device, host: Host) -> Seat:
    """Only what stands directly on the root is found by its MAC; the backstop polices the rest."""
    flood = device.xdp.flood if device.xdp else "enforce"
    mode = device.properties.get("mode")
    on_root = device.kind in DISPATCHED and device.parent == root.name
    catch_all = on_root and mode == "passthru"
    return Seat(
        device=device.name,
        policy=_policy(device),
        flood=flood,
        address=0 if catch_all else _address(device, host),
        dispatched=on_root and mode != "source",
        catch_all=catch_all,
    )


def _address(device: Device, host: Host) -> int | None:
    given = _given_address(device)
    if given is None and device.name in host.by_name:
        return mac_number(str(host.by_name[device.name].properties["address"]))
    return given


def _given_address(device: Device) -> int | None:
    text = device.properties.get("address")
    return mac_number(str(text)) if text is not None else None


def _refuse_ports(topology: Topology, root: Device) -> None:
    """The kernel runs no program on a port beside one on its bond, and none here chains them."""
    for device in topology.devices.values():
        if device.kind == "bond" and root.name in device.ports:
            raise UnsupportedError(
                f"{root.location}: {root.name} is a port of {device.name}: "
                f"put the policy on {device.name} or on what stands on it",
                hint="the kernel refuses a program on a port whose upper device has one",
            )
