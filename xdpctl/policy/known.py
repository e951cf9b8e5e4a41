"""What is left to test for a rule once the frame's L4 header is known to be TCP or UDP.

Such a frame is IPv4 or IPv6 and of that protocol (kinds.py): tests that all of these pass are left
out, and with one that none passes the whole rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from xdpctl.policy.conditions import Test
from xdpctl.policy.fields import ETHERTYPE_IP4, ETHERTYPE_IP6
from xdpctl.policy.steps import Steps

_NETWORKS: Final = frozenset({ETHERTYPE_IP4, ETHERTYPE_IP6})


def narrowed(steps: Steps, protocol: int) -> Steps | None:
    """The steps for a frame with this L4 header; None if it can't match."""
    alone = frozenset({protocol})
    known = {"l4": alone, "l4_proto": alone, "ether.type": _NETWORKS}
    guards: dict[str, frozenset[int]] = {}
    for field, numbers in steps.guards.items():
        able = known.get(field, numbers) & numbers
        if not able:
            return None
        if able != known.get(field):
            guards[field] = able
    tests: list[Test] = []
    for test in steps.tests:
        able = known.get(test.field.field, frozenset()) if _is_plain(test) else frozenset()
        passed = [number for number in able if _takes(test, number)]
        if able and not passed:
            return None
        if not able or len(passed) < len(able):
            tests.append(test)
    return replace(steps, guards=guards, tests=tests)


def _is_plain(test: Test) -> bool:
    """Whether its numbers alone decide, and stand in the instructions."""
    others: Iterable[object] = (
        test.chosen, test.barred, test.sets, test.chain, test.operands, test.condition.devices,
    )  # fmt: skip
    return not any(others)


def _takes(test: Test, number: int) -> bool:
    return any(low <= number <= high for low, high in test.pairs)
