"""What a master takes out of its ports' hands, and what ports may not share."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.codecs import nearest
from xdpctl.topology.draft import Entry

BOND_MTU = 1500
BOND_QUEUES = 16
"""bond_create's defaults: ETH_DATA_LEN and BOND_DEFAULT_TX_QUEUES."""


def check(stack: Stack) -> Iterator[Finding]:
    """Of bonds and bridges."""
    for entry in stack:
        yield from _named(entry)
    for entry in stack.of("bond"):
        yield from _queues(entry)
        for port in entry.device.ports:
            other = stack.entries.get(port)
            if other is not None:
                yield from _ruled(entry, other)


def _named(entry: Entry) -> Iterator[Finding]:
    """Ports that the master's or another port's properties name."""
    device = entry.device
    for owner, name, port in [
        ((), "primary", device.properties.get("primary")),
        *(
            (("ports", owner), "backup_port", own.get("backup_port"))
            for owner, own in device.port_properties.items()
        ),
    ]:
        if isinstance(port, str) and port not in device.ports:
            path = owner or (name,)
            hint = nearest(port, device.ports)
            yield entry, path, f"{name} {port!r} is no port of {device.name}{hint}"


def _queues(entry: Entry) -> Iterator[Finding]:
    """queue_id: bond_option_queue_id_set."""
    queues = entry.device.properties.get("numtxqueues", BOND_QUEUES)
    assert isinstance(queues, int)
    taken: dict[object, str] = {}
    for port, own in entry.device.port_properties.items():
        queue = own.get("queue_id", 0)
        if not isinstance(queue, int) or queue == 0:
            continue
        if queue > queues:
            message = f"queue_id {queue} of {port}: {entry.device.name} has {queues} queues"
            yield entry, ("ports", port), message
        first = taken.setdefault(queue, port)
        if first != port:
            yield entry, ("ports", port), f"queue_id {queue} of {port} is {first}'s already"


def _ruled(bond: Entry, port: Entry) -> Iterator[Finding]:
    """bond_enslave sets a port's MTU and address to the bond's."""
    own, name = port.device.properties, bond.device.name
    wanted = bond.device.properties
    mtu = wanted.get("mtu", BOND_MTU)
    if own.get("mtu", mtu) != mtu:
        yield port, ("mtu",), f"mtu {own['mtu']}: {name} gives its ports its own MTU, {mtu}"
    keeps = wanted.get("mode") == "active-backup" and wanted.get("fail_over_mac") == "active"
    if "address" in own and not keeps and own["address"] != wanted.get("address"):
        yield port, ("address",), f"address: {name} gives its ports its own; set it there"
