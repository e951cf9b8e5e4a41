"""Which devices a pipeline's program is attached to, and whether natively."""

from __future__ import annotations

from typing import Literal

from xdpctl.datapath.native import (
    BOND_MODES,
    Features,
    Support,
    mode_of,
    native_support,
    ports_support,
)
from xdpctl.errors import UnsupportedError
from xdpctl.host.state import Host
from xdpctl.topology.model import Device, Topology, Xdp


def attachment(
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


def mode_for(root: Device, wanted: Xdp, support: Support) -> Literal["native", "generic"]:
    """The mode; raises UnsupportedError where `mode: native` cannot be had."""
    if wanted.mode == "native" and not support.native:
        raise UnsupportedError(
            f"{root.location}: {root.name} cannot run XDP natively: {support.reason}",
            hint="mode: auto takes generic XDP where native cannot be had",
        )
    return "native" if support.native and wanted.mode != "generic" else "generic"
