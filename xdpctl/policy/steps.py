"""What is tested for a rule, in which order; before any instruction is written."""

from __future__ import annotations

from collections.abc import Iterable

from xdpctl.policy.bindings import Bindings
from xdpctl.policy.conditions import Test, test_of
from xdpctl.policy.fields import FIELDS, PRESENCE
from xdpctl.record import record
from xdpctl.topology.model import COMPOSITE, Condition, Policy, Rule


@record
class Steps:
    """A rule's tests: first the protocols that must be there, then values, the cheapest first."""

    guards: dict[str, frozenset[int]]
    tests: list[Test]


def steps_of(policy: Policy, bindings: Bindings) -> list[Steps | None]:
    """What to test for each rule; None for one that no frame can match."""
    return [_steps(rule, bindings) for rule in policy.rules]


def _steps(rule: Rule, bindings: Bindings) -> Steps | None:
    guards: dict[str, frozenset[int]] = {}
    tests: list[Test] = []
    for condition in rule.conditions:
        for name, numbers in _guards(condition):
            guards[name] = guards.get(name, numbers) & numbers
            if not guards[name]:
                return None
        test = test_of(condition, bindings)
        if test.is_never:
            return None
        if not test.is_always:
            tests.append(test)
    tests.sort(key=lambda test: test.cost)
    return Steps(guards, tests)


def _guards(condition: Condition) -> Iterable[tuple[str, frozenset[int]]]:
    for key in condition.keys:
        own = FIELDS[key].guard
        if own is not None:
            yield own
        if condition.key == COMPOSITE and key in PRESENCE:
            yield PRESENCE[key]
