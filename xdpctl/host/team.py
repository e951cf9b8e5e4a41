"""A team's options, which go by a generic netlink family of its own (linux/if_team.h, 3.3).

An option is the team's or a port's, and has a type, a name and a value.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping

from xdpctl.errors import KernelError
from xdpctl.host.attributes import attribute, index, nest, string, text, u32, walk
from xdpctl.host.features import NETLINK_GENERIC, command, family_number
from xdpctl.host.netlink import Netlink, message
from xdpctl.topology.property import Property

NLA_F_NESTED = 0x8000
TEAM_CMD_OPTIONS_SET, TEAM_CMD_OPTIONS_GET = 1, 2
TEAM_ATTR_TEAM_IFINDEX, TEAM_ATTR_LIST_OPTION = 1, 2
ITEM_OPTION = 1
OPTION_NAME, OPTION_TYPE, OPTION_DATA, OPTION_REMOVED, OPTION_PORT_IFINDEX = 1, 3, 4, 5, 6
NLA_FLAG = 6
"""The type of an option that is on by there being its value."""

NOBODY_LISTENS = errno.ESRCH
"""What the kernel says when an option is set and nobody has joined the group of the family to
hear of it (team_nl_send_event_options_get).
"""

Options = Mapping[str, bytes | None]
"""Payloads by the option's name; None for a flag that is off."""


class Team(Netlink):
    """A generic netlink socket that speaks with the family `team`."""

    def __init__(self) -> None:
        super().__init__(NETLINK_GENERIC)
        family = family_number(self, "team")
        if family is None:
            raise KernelError("find netlink family team", errno.ENOENT)
        self._family = family

    def options(self, ifindex: int) -> dict[int, dict[str, bytes | None]]:
        """All options of a team: its own at 0, each port's at the port's ifindex."""
        body = command(TEAM_CMD_OPTIONS_GET) + u32(TEAM_ATTR_TEAM_IFINDEX, ifindex)
        operation = f"read the options of team {ifindex}"
        found: dict[int, dict[str, bytes | None]] = {0: {}}
        for answer in self.gather(message(self._family, 0, body), operation):
            for port, name, payload in parsed(answer):
                found.setdefault(port, {})[name] = payload
        return found

    def set(
        self, ifindex: int, options: Iterable[tuple[Property, bytes]], operation: str, port: int = 0
    ) -> None:
        """Set options of a team, or of a port of it (its ifindex), in the order given.

        Raises KernelError, the options before the refused one being set. A message takes one only:
        while nobody listens for changes the kernel stops after the first.
        """
        for row, payload in options:
            item = option(row, payload, port)
            body = command(TEAM_CMD_OPTIONS_SET) + u32(TEAM_ATTR_TEAM_IFINDEX, ifindex)
            body += nest(TEAM_ATTR_LIST_OPTION | NLA_F_NESTED, [item])
            try:
                self.request(message(self._family, 0, body), operation)
            except KernelError as error:
                if error.errno != NOBODY_LISTENS:
                    raise


def option(row: Property, payload: bytes, port: int) -> bytes:
    """One option of a list; a row's `attribute` is its type."""
    parts = [text(OPTION_NAME, row.name), attribute(OPTION_TYPE, bytes((row.attribute,)))]
    if row.attribute != NLA_FLAG or any(payload):
        data = b"" if row.attribute == NLA_FLAG else payload
        parts.append(attribute(OPTION_DATA, data))
    if port:
        parts.append(u32(OPTION_PORT_IFINDEX, port))
    return nest(ITEM_OPTION | NLA_F_NESTED, parts)


def parsed(answer: bytes) -> Iterator[tuple[int, str, bytes | None]]:
    """The options of a message: the port's ifindex or 0, the name, the payload."""
    listed = index(answer, 4).get(TEAM_ATTR_LIST_OPTION, b"")
    for number, item in walk(listed):
        found = index(item)
        if number == ITEM_OPTION and OPTION_REMOVED not in found:
            port = int.from_bytes(found.get(OPTION_PORT_IFINDEX, b""), "little")
            yield port, string(found.get(OPTION_NAME)), found.get(OPTION_DATA)
