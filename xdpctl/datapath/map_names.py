"""What the maps and programs of a pipeline are called: by them its map ids are told apart."""

from __future__ import annotations

SLOTS, DISPLACEMENTS, COUNTERS, ENTRIES, PROGRAMS, PARTS = (
    "xdpctl_slots",
    "xdpctl_displace",
    "xdpctl_counters",
    "xdpctl_entries",
    "xdpctl_programs",
    "xdpctl_parts",
)
LIMITS, SAMPLES, SETS, DEVMAP = "xdpctl_limits", "xdpctl_samples", "xdpctl_sets", "xdpctl_devmap"
ALL = frozenset({SLOTS, DISPLACEMENTS, COUNTERS, ENTRIES, PROGRAMS, LIMITS, SAMPLES, SETS, DEVMAP})
"""Names of the maps of a pipeline; by them a program's map ids are told apart."""


def set_map(index: int) -> str:
    """What the array that holds a set is called."""
    return f"xdpctl_set{index}"


def socket_map(number: int) -> str:
    """What the map of AF_XDP sockets is called that a target of this number leads to."""
    return f"xdpctl_xsk{number}"


PIPELINE = "xdpctl_pipeline"
"""Name of the roots' programs."""
