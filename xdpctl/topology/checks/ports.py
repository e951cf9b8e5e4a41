"""What a master takes out of its ports' hands, and what ports may not share."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.codecs import nearest
from xdpctl.topology.draft import Entry
from xdpctl.topology.kinds.team import OWN_ADDRESS

MTU = 1500
QUEUES = 16
"""Of bonds and teams that are told nothing: ETH_DATA_LEN, BOND_DEFAULT_TX_QUEUES and
TEAM_DEFAULT_NUM_TX_QUEUES."""


def check(stack: Stack) -> Iterator[Finding]:
    """Of bonds, teams and bridges."""
    for entry in stack.of("bond", "team", "bridge"):
        yield from _named(entry)
    for entry in stack.of("bond", "team"):
        yield from _queues(entry)
        for port in entry.device.ports:
            other = stack.entries.get(port)
            if other is not None:
                yield from _ruled(entry, other)


def _named(entry: Entry) -> Iterator[Finding]:
    """Ports that the master's or another port's properties name."""
    device = entry.device
    for owner, name, port in [
        *(((), name, device.properties.get(name)) for name in ("primary", "activeport")),
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
    """queue_id: bond_option_queue_id_set, whose numbers count from 1 and are one port's each;
    team_queue_id_option_set, whose queues serve several.
    """
    queues = entry.device.properties.get("numtxqueues", QUEUES)
    assert isinstance(queues, int)
    shared = entry.device.kind == "team"
    taken: dict[object, str] = {}
    for port, own in entry.device.port_properties.items():
        queue = own.get("queue_id", 0)
        if not isinstance(queue, int) or queue == 0:
            continue
        if queue > queues - shared:
            message = f"queue_id {queue} of {port}: {entry.device.name} has {queues} queues"
            yield entry, ("ports", port), message
        first = taken.setdefault(queue, port)
        if first != port and not shared:
            yield entry, ("ports", port), f"queue_id {queue} of {port} is {first}'s already"


def _ruled(master: Entry, port: Entry) -> Iterator[Finding]:
    """bond_enslave and team_port_add set a port's MTU and address to the master's."""
    own, name = port.device.properties, master.device.name
    mtu = master.device.properties.get("mtu", MTU)
    if own.get("mtu", mtu) != mtu:
        yield port, ("mtu",), f"mtu {own['mtu']}: {name} gives its ports its own MTU, {mtu}"
    same = own.get("address") == master.device.properties.get("address")
    if "address" in own and not _leaves_addresses(master) and not same:
        yield port, ("address",), f"address: {name} gives its ports its own; set it there"


def _leaves_addresses(master: Entry) -> bool:
    wanted = master.device.properties
    if master.device.kind == "team":
        return wanted.get("mode") in OWN_ADDRESS
    return wanted.get("mode") == "active-backup" and wanted.get("fail_over_mac") == "active"
