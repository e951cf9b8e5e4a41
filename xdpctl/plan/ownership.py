"""Whose device is it? The label that a topology leaves on its devices, and the birthmark.

RTM_NEWLINK takes no ifalias for a device that it creates, but it takes IFLA_GROUP. So a device
is born in a group of its topology's own (the birthmark) and labelled by the next message; if
the run dies between the two, the next run still knows the device.
"""

from __future__ import annotations

from xdpctl.host.links import birthmark, label
from xdpctl.host.state import Link

PREFIX = label("")


def labelled(link: Link) -> str | None:
    """The topology whose label the link carries, or None."""
    return link.alias.removeprefix(PREFIX) if link.alias.startswith(PREFIX) else None


def newborn(link: Link, topology: str) -> bool:
    """Whether the link was created for the topology and its label never came."""
    return not link.alias and link.group == birthmark(topology)


def owns(topology: str, link: Link) -> bool:
    """Whether the link is the topology's, by label or birthmark."""
    return link.alias == label(topology) or newborn(link, topology)
