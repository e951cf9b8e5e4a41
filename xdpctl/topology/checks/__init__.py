"""Cross-checks: what is wrong although each device by itself has the right shape.

One file a concern. A check yields findings: the device, the path of the value, and a sentence.
"""

from __future__ import annotations

from xdpctl.errors import Problem
from xdpctl.topology.checks import (
    addresses,
    bond,
    cycles,
    deliveries,
    handlers,
    mtu,
    names,
    namespaces,
    options,
    passthru,
    policies,
    ports,
    references,
    stacking,
    tunnels,
    veths,
    xdp,
)
from xdpctl.topology.checks.stack import Stack
from xdpctl.topology.draft import Entry
from xdpctl.topology.model import Location
from xdpctl.topology.read import Book
from xdpctl.topology.shape import problem

CHECKS = (
    names.check,
    references.check,
    cycles.check,
    stacking.check,
    handlers.check,
    ports.check,
    passthru.check,
    addresses.check,
    options.check,
    bond.check,
    tunnels.check,
    veths.check,
    deliveries.check,
    mtu.check,
    xdp.check,
    namespaces.check,
)


def findings(entries: dict[str, Entry], book: Book) -> list[Problem]:
    """What all checks find. Of a range, only what is wrong with its first wrong device."""
    stack = Stack(entries, book)
    found: list[Problem] = list(references.check_wrecks(stack, book.wrecks))
    found += policies.check(stack, book)
    for check in CHECKS:
        told: set[Location] = set()
        for entry, path, message in check(stack):
            place = entry.at(*path)
            of_range = entry.draft is not None and entry.draft.range is not None
            if of_range and place in told:
                continue
            told.add(place)
            found.append(problem(place, message))
    return found
