"""What is left to test for a rule once the frame's L4 header is known to be TCP or UDP.

Such a frame is IPv4 or IPv6 and of that protocol (kinds.py): tests that all of these pass are left
out, and with one that none passes the whole rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from xdpctl.policy.conditions import Test
from xdpctl.policy.fields import ETHERTYPE_IP4, ETHERTYPE_IP6
from xdpctl.policy.steps import Steps

_NETWORKS: Final = frozenset({ETHERTYPE_IP4, ETHERTYPE_IP6})


@cache
def _known(protocol: int) -> Mapping[str, frozenset[int]]:
    """What the fields of such a frame can be."""
    alone = frozenset({protocol})
    return {"l4": alone, "l4_proto": alone, "ether.type": _NETWORKS}


def narrowed(steps: Steps, protocol: int) -> Steps | None:
    """The steps for a frame with this L4 header; None if it can't match."""
    known = _known(protocol)
    guards: dict[str, frozenset[int]] = {}
    for field, numbers in steps.guards.items():
        possible = known.get(field)
        able = numbers if possible is None else numbers & possible
        if not able:
            return None
        if able != possible:
            guards[field] = able
    tests: list[Test] = []
    for test in steps.tests:
        possible = known.get(test.field.field)
        if possible is None or not _is_plain(test):
            tests.append(test)
            continue
        passed = sum(_takes(test, number) for number in possible)
        if not passed:
            return None
        if passed < len(possible):
            tests.append(test)
    return Steps(guards, tests)


def _is_plain(test: Test) -> bool:
    """Whether its numbers alone decide, and stand in the instructions."""
    others: Iterable[object] = (
        test.chosen, test.barred, test.sets, test.chain, test.operands, test.condition.devices,
    )  # fmt: skip
    return not any(others)


def _takes(test: Test, number: int) -> bool:
    return any(low <= number <= high for low, high in test.pairs)
