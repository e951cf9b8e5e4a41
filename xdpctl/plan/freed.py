"""Addresses of a root that the kernel takes back when a device on it goes."""

from __future__ import annotations

from collections.abc import Collection

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.layout import mac_number
from xdpctl.host.state import Host
from xdpctl.plan.stacking import lower_of


def addresses_freed(wanted: Pipeline, host: Host, vanishing: Collection[str]) -> bool:
    """Whether the pipeline must look at its root again once devices on that have changed.

    A macvlan in mode passthru gives its lower device its own address, which has its old one again
    afterwards (macvlan_port_destroy). And what a device lets its lower's NIC take in goes out of
    the list when it goes or has another address (vlan_dev_stop, macvlan_stop), be it that one with
    deliver: redirect has the same address by then; both cannot stay, so one that has it will go.
    """
    root = host.by_name.get(wanted.root)
    if root is None:
        return False
    taken = {seat.address for seat in wanted.delivered}
    return any(
        (link.properties.get("mode") == "passthru" and link.name in vanishing)
        or mac_number(str(link.properties.get("address", "0"))) in taken
        for link in host.links
        if lower_of(link) == root.ifindex
    )
