"""Policies that differ only in numbers share their instructions.

Thousands of devices have policies made from one template: the same keys and actions, other ports
and addresses. Compiled one by one they are megabytes of instructions, each met by few frames, that
no cache holds. So policies are grouped by what their instructions look like; numbers in which the
members of a group differ are not in the instructions but in a row of parameters a policy, which
R9 points to. What all members have in common stays where it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from xdpctl.policy.bindings import Bindings
from xdpctl.policy.compiler import own_depth
from xdpctl.policy.conditions import Test
from xdpctl.policy.fields import RANDOM
from xdpctl.policy.operand import Parameter
from xdpctl.policy.steps import Steps, steps_of
from xdpctl.record import record
from xdpctl.topology.model import Policy, Rule

WORD: Final = 8
MOST_PARAMETERS: Final = 15
"""Numbers in which the members of a shape differ, at most: a row is 128 bytes, the first word says
which shape it is. Policies with more differences are shapes of their own."""
MOST_PAIRS: Final = 4
"""Values of a condition that may be parameters: more are searched in an order that is compiled."""

Numbers = tuple[int, ...]


@record
class Candidate:
    """A policy, and the counters that it counts on (as emit_policy takes them)."""

    policy: Policy
    numbering: tuple[int, ...]


@record
class Shape:
    """What a group of policies compiles to.

    members  places in the list that was grouped, the first of which the instructions are made of
    steps    of the first, with parameters; None: its own
    rows     the parameters of each member
    """

    members: tuple[int, ...]
    steps: tuple[Steps | None, ...] | None
    rows: tuple[Numbers, ...]


def shapes(candidates: Sequence[Candidate], bindings: Bindings) -> list[Shape]:
    """Group them, in the order of their first members."""
    found = [_Skeleton.of(candidate, bindings) for candidate in candidates]
    groups: dict[Hashable, list[int]] = {}
    for place, skeleton in enumerate(found):
        groups.setdefault(skeleton.key, []).append(place)
    made: list[Shape] = []
    for members in groups.values():
        made += _shaped(members, found)
    return sorted(made, key=lambda shape: shape.members[0])


@record
class _Skeleton:
    """A policy's steps, its numbers, and all else that its instructions depend on."""

    steps: Sequence[Steps | None]
    numbers: Numbers
    key: Hashable

    @classmethod
    def of(cls, candidate: Candidate, bindings: Bindings) -> _Skeleton:
        policy = candidate.policy
        if policy.object is not None:
            return cls((), (), id(policy))
        steps = steps_of(policy, bindings)
        rules = [_rule_key(rule, each) for rule, each in zip(policy.rules, steps, strict=True)]
        numbers = tuple(
            number
            for test in _tests(steps)
            if _is_open(test)
            for pair in test.pairs
            for number in pair
        )
        depth = own_depth(policy)
        return cls(steps, numbers, (policy.default, depth, candidate.numbering, *rules))


def _rule_key(rule: Rule, steps: Steps | None) -> Hashable:
    if steps is None:
        return None
    guards = tuple(steps.guards.items())
    tests = tuple(_test_key(test) for test in steps.tests)
    into = id(rule.into) if rule.into is not None else 0
    return rule.action, rule.target, rule.rate, into, guards, tests


def _test_key(test: Test) -> Hashable:
    """Of an open test how its values are compared; of any other the test itself."""
    if not _is_open(test):
        return test.condition
    return test.condition.key, tuple(_form(test, *pair) for pair in test.pairs)


def _form(test: Test, low: int, high: int) -> str:
    """A single value, a range, or one that needs one compare only."""
    if low == high:
        return "="
    return "<" if low == 0 else ">" if high == test.maximum else "-"


def _is_open(test: Test) -> bool:
    """Whether its numbers may be parameters."""
    plain = not (test.chosen or test.barred or test.chain or test.sets or test.condition.devices)
    small = test.field.bits <= 48 and test.field.field != RANDOM
    return plain and small and 0 < len(test.pairs) <= MOST_PAIRS


def _tests(steps: Iterable[Steps | None]) -> Iterable[Test]:
    return (test for each in steps if each is not None for test in each.tests)


def _shaped(members: Sequence[int], found: Sequence[_Skeleton]) -> list[Shape]:
    """The group as one shape; in shapes of their own, those that differ in too much."""
    first = found[members[0]]
    if len(members) == 1:
        return [Shape((members[0],), None, ((),))]
    columns = list(zip(*(found[member].numbers for member in members), strict=True))
    varying = [at for at, column in enumerate(columns) if any(n != column[0] for n in column)]
    # the second number of a single value is the first
    singles = {at + 1: at for at in range(0, len(columns), 2) if columns[at] == columns[at + 1]}
    own = [at for at in varying if at not in singles]
    if len(own) > MOST_PARAMETERS:
        return [Shape((member,), None, ((),)) for member in members]
    places = {at: Parameter((1 + place) * WORD) for place, at in enumerate(own)}
    places |= {at: places[before] for at, before in singles.items() if before in places}
    rows = tuple(tuple(found[member].numbers[at] for at in own) for member in members)
    return [Shape(tuple(members), _with(first.steps, places), rows)]


def _with(steps: Sequence[Steps | None], places: dict[int, Parameter]) -> tuple[Steps | None, ...]:
    """The steps with parameters at these places of their numbers."""
    at = 0
    made: list[Steps | None] = []
    for each in steps:
        tests: list[Test] = []
        for test in each.tests if each is not None else ():
            tests.append(_parametrised(test, places, at) if _is_open(test) else test)
            at += 2 * len(test.pairs) if _is_open(test) else 0
        made.append(Steps(each.guards, tests) if each is not None else None)
    return tuple(made)


def _parametrised(test: Test, places: dict[int, Parameter], at: int) -> Test:
    if not any(at <= place < at + 2 * len(test.pairs) for place in places):
        return test
    pairs = [
        (places.get(at + 2 * n, low), places.get(at + 2 * n + 1, high))
        for n, (low, high) in enumerate(test.pairs)
    ]
    return replace(test, pairs=[], operands=tuple(pairs))
