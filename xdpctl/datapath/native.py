"""Whether a device runs XDP natively, and the reason that the user reads in the plan."""

from __future__ import annotations

import os
from collections.abc import Mapping

from xdpctl.errors import UnsupportedError
from xdpctl.host.state import Link
from xdpctl.record import record
from xdpctl.topology.model import Device

Features = Mapping[str, frozenset[str] | None]
"""The XDP features of devices that exist, by name (None: this kernel does not tell)."""


@record
class Support:
    """The answer and its reason in one line. `certain` is False where only an attempt can tell."""

    native: bool
    reason: str
    certain: bool = True


_KINDS = {
    "veth": Support(native=True, reason="veth runs XDP natively"),
    "tun": Support(native=True, reason="tap runs XDP natively"),
    "tap": Support(native=True, reason="tap runs XDP natively"),
    "bridge": Support(native=False, reason="a bridge has no native XDP"),
    "dummy": Support(native=False, reason="dummy has no native XDP"),
    "vxlan": Support(native=False, reason="vxlan has no native XDP"),
    "vlan": Support(native=False, reason="vlan has no native XDP"),
    "team": Support(native=False, reason="a team has no native XDP"),
    "macvlan": Support(native=False, reason="macvlan has no native XDP"),
    "macvtap": Support(native=False, reason="macvtap has no native XDP"),
}

_ANY_MTU = frozenset({"tun", "tap"})
ONE_PAGE = os.sysconf("SC_PAGESIZE") - 256 - 320 - 14
"""The largest MTU of frames that stand in one page beside XDP_PACKET_HEADROOM and what becomes the
skb_shared_info, as veth reckons without frags (drivers/net/veth.c, veth_xdp_set); others take less.
"""
BOND_MODES = frozenset({"balance-rr", "active-backup", "balance-xor", "802.3ad"})
"""drivers/net/bonding/bond_main.c, bond_xdp_check (5.15)."""


def native_support(device: Device, link: Link | None, features: frozenset[str] | None) -> Support:
    """Judge by what the driver tells (netdev netlink, 6.3), else by the device's kind."""
    kind = link.kind if link is not None else device.kind
    if kind == "bond":
        return _bond(device, link)
    if features is not None:
        if "basic" in features:
            return _fitting(kind, _mtu(device, link), features)
        return Support(native=False, reason="its driver has no native XDP")
    if kind in _KINDS:
        return _KINDS[kind]
    return Support(
        native=True, reason="this kernel does not tell (needs 6.3): native is tried", certain=False
    )


def _mtu(device: Device, link: Link | None) -> int:
    """What the file gives it, else what it has."""
    found = device.properties.get("mtu", link.properties.get("mtu") if link is not None else None)
    return found if isinstance(found, int) else 0


def _fitting(kind: str, mtu: int, features: frozenset[str]) -> Support:
    """A driver that knows no frags (5.18) gives programs one page, and refuses either the program
    or the MTU; a tap hands what is longer to generic XDP by itself (tun_can_build_skb).
    """
    if "rx-sg" not in features and kind not in _ANY_MTU and mtu > ONE_PAGE:
        reason = (
            f"mtu {mtu} needs frags, which its driver has not (rx-sg): "
            f"native XDP goes up to {ONE_PAGE} there"
        )
        return Support(native=False, reason=reason)
    return Support(native=True, reason="its driver runs XDP natively")


def _bond(device: Device, link: Link | None) -> Support:
    """A bond's own choice of modes; vlan+srcmac is refused in any of them (6.12)."""
    live = link.properties if link is not None else {}
    mode = mode_of(device, link)
    policy = device.properties.get("xmit_hash_policy", live.get("xmit_hash_policy"))
    if mode not in BOND_MODES:
        return Support(native=False, reason=f"a bond in mode {mode} has no native XDP")
    if policy == "vlan+srcmac":
        return Support(native=False, reason="a bond with xmit_hash_policy vlan+srcmac has none")
    return Support(native=True, reason=f"a bond in mode {mode} runs XDP natively")


def mode_of(bond: Device, link: Link | None) -> str:
    """The mode that a bond is to have, or has where the file says nothing."""
    live = link.properties if link is not None else {}
    return str(bond.properties.get("mode", live.get("mode", "balance-rr")))


def ports_support(own: Support, ports: Mapping[str, Support]) -> Support:
    """A bond runs natively what all of its ports do (bond_enslave, bond_xdp_set).

    `own` is what its mode allows.
    """
    if not own.native:
        return own
    for name, port in ports.items():
        if not port.native:
            return Support(native=False, reason=f"its port {name}: {port.reason}")
    for name, port in ports.items():
        if not port.certain:
            return Support(native=True, reason=f"its port {name}: {port.reason}", certain=False)
    return own


def check_target(
    device: Device, link: Link | None, features: frozenset[str] | None, *, settled: bool
) -> str:
    """Raise UnsupportedError if frames that are redirected to the device are sure to be lost; a
    sentence where they may be. Of a target that is `settled` there is no more to refuse.

    A veth takes them only while its peer has NAPI: with GRO on, or with a program of its own
    (veth_xdp_xmit). It says so once both ends are up.
    """
    if features is not None and "ndo-xmit" in features:
        return ""
    kind = link.kind if link is not None else device.kind
    if kind == "veth":
        fix = f"ethtool -K {device.properties.get('peer', 'PEER')} gro on"
        lost = (
            f"redirect to {device.name}: a veth takes no frames from XDP while its other end has "
            "neither GRO nor a program"
        )
        is_up = link is not None and link.properties.get("state") == "up"
        if settled or not is_up or features is None:
            return f"{lost} ({fix})"
        raise UnsupportedError(f"{device.location}: {lost}", hint=fix)
    if link is None or features is None or settled:
        return ""
    raise UnsupportedError(
        f"{device.location}: redirect to {device.name}: its driver takes no frames from XDP "
        "(it has no ndo_xdp_xmit)"
    )
