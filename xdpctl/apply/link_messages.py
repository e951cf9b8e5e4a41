"""The rtnetlink messages of operations on links, with the ifindexes that names have now."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

from xdpctl.errors import KernelError
from xdpctl.host import links
from xdpctl.plan.link_operations import (
    DEVGROUP,
    ChangeLink,
    ChangePort,
    CreateLink,
    DeleteLink,
    EnslaveLink,
)
from xdpctl.plan.operation import Difference, Operation
from xdpctl.topology.codecs import Reference
from xdpctl.topology.kinds import port_table, table
from xdpctl.topology.model import Value
from xdpctl.topology.property import Property


def ifindex(name: str, operation: Operation) -> int:
    """The ifindex that a name has now; raises KernelError if it has none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        reason = f"there is no device {name}"
        raise KernelError(operation.summary(), errno.ENODEV, reason) from None


def create_message(operation: CreateLink, place: int | None = None) -> bytes:
    """RTM_NEWLINK of a new device; `place` is the namespace to make it in, if it is another."""
    device = operation.device
    lower = ifindex(device.stands_on, operation) if device.stands_on else None
    index = referred(table(device.kind), device.properties, operation)
    return links.create(
        device,
        group=operation.group,
        lower=lower,
        index=index,
        ifindex=operation.ifindex,
        peer_ifindex=operation.peer_ifindex,
        netns=place,
    )


def change_message(operation: ChangeLink) -> bytes:
    """RTM_NEWLINK of an existing one."""
    changes = dict(operation.changes)
    alias, group = changes.pop("alias", None), changes.pop(DEVGROUP, None)
    wanted = after(changes)
    return links.change(
        ifindex(operation.name, operation),
        operation.kind,
        wanted,
        before=known({name: one.before for name, one in changes.items()}),
        alias=str(alias.after) if alias else None,
        group=int(str(group.after)) if group else None,
        index=referred(table(operation.kind), wanted, operation),
    )


def delete_message(operation: DeleteLink) -> bytes:
    """RTM_DELLINK."""
    return links.delete(ifindex(operation.name, operation))


def enslave_message(operation: EnslaveLink) -> bytes:
    """RTM_NEWLINK with IFLA_MASTER."""
    master = ifindex(operation.after, operation) if operation.after else 0
    return links.change(ifindex(operation.name, operation), "", master=master)


def port_message(operation: ChangePort) -> bytes:
    """RTM_NEWLINK with IFLA_INFO_SLAVE_DATA."""
    wanted = after(operation.changes)
    index = referred(port_table(operation.kind), wanted, operation)
    return links.change_port(
        ifindex(operation.name, operation), operation.kind, wanted, index=index
    )


def after(changes: Mapping[str, Difference]) -> dict[str, Value]:
    """The values to set."""
    return known({name: one.after for name, one in changes.items()})


def known(values: Mapping[str, Value | None]) -> dict[str, Value]:
    """The values that there are."""
    return {name: value for name, value in values.items() if value is not None}


def referred(
    rows: Mapping[str, Property], properties: Mapping[str, Value], operation: Operation
) -> dict[str, int]:
    """The ifindexes of the devices that properties name."""
    return {
        str(value): ifindex(str(value), operation) if value else 0
        for name, value in properties.items()
        if name in rows and isinstance(rows[name].codec, Reference)
    }
