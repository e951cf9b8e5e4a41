"""Bridges that are policed natively, by programs on their ports."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.datapath.native import Features, native_support
from xdpctl.datapath.seats import Group, is_policed
from xdpctl.host.state import Host
from xdpctl.topology.model import Device, Xdp


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
    if not wanted.enabled or wanted.mode == "generic":
        return False
    name = port.root.name
    support = native_support(port.root, host.by_name.get(name), features.get(name))
    return support.native and (support.certain or name not in host.by_name)
