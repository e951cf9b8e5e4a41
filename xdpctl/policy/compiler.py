"""Policies to instructions. The rules read the header record (record.py) and nothing else.

Registers: R6 context, R7 frame length, R8 counter block, R9 the caller's: untouched. R0 to R5 are
clobbered. Stack: the record is read, nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xdpctl.bpf.asm import R1, R10, Assembler
from xdpctl.policy.conditions import Test, emit_guard, emit_test, test_of
from xdpctl.policy.fields import FIELDS, record_fields
from xdpctl.policy.record import RECORD
from xdpctl.topology.model import Policy, Rule

VERSION: Final = 2
"""Counts up whenever the same policy compiles to something that behaves otherwise."""

_PARSED = RECORD["parsed"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What `emit_parse` must find for some policies: how deep, and which fields of the record."""

    depth: int
    fields: frozenset[str]


def depth(policy: Policy) -> int:
    """The deepest layer of the policy's keys; 0 if it looks at no header at all."""
    keys = (condition.key for rule in policy.rules for condition in rule.conditions)
    return max((FIELDS[key].layer for key in keys), default=0)


def requirements(policies: Iterable[Policy]) -> Needs:
    """What all of the policies together need parsed."""
    deepest, keys = 0, set[str]()
    for policy in policies:
        keys.update(condition.key for rule in policy.rules for condition in rule.conditions)
        deepest = max(deepest, depth(policy))
    fields = {field for key in keys for field in record_fields(key)}
    return Needs(deepest, frozenset({"parsed", *fields}))


def emit_policy(
    asm: Assembler,
    policy: Policy,
    *,
    prefix: str,
    count: Callable[[Assembler], None],
    passed: str,
    dropped: str,
    numbering: Sequence[int] | None = None,
) -> None:
    """Emit the rules; every way ends in a jump to `passed` or `dropped`.

    There R1 is the index of the counter that decided, within the device's block: `numbering` has
    one a rule, then the default's, then that of malformed frames (None: 0 … n + 1).
    `count(asm)` adds one packet to the counter of index R1 and may clobber R0 to R5. Labels of the
    policy's own begin with `prefix`. Which of `passed` and `dropped` is reached depends on the
    policy: see Assembler.is_used.
    """
    counters = range(len(policy.rules) + 2) if numbering is None else numbering
    ends = {"pass": passed, "drop": dropped}
    layer = depth(policy)
    malformed = asm.unique(f"{prefix}malformed")
    asm.line(policy.location)
    if layer:
        asm.load(_PARSED.size, R1, R10, _PARSED.offset)
        asm.jump32("<", R1, layer, malformed)
    open_end = True
    for index, rule in enumerate(policy.rules):
        steps = _steps(rule)
        if steps is None:
            continue
        following = asm.unique(f"{prefix}rule")
        asm.line(rule.location)
        _emit_steps(asm, steps, following)
        asm.mov(R1, counters[index])
        if rule.action == "count":
            count(asm)
        else:
            asm.ja(ends[rule.action])
            open_end = steps.may_miss
        asm.label(following)
        if not open_end:
            break  # the verifier refuses what cannot be reached
    if open_end:
        asm.line(policy.location)
        asm.mov(R1, counters[-2])
        asm.ja(ends[policy.default])
    if layer:
        asm.line(policy.location)
        asm.label(malformed)
        asm.mov(R1, counters[-1])
        asm.ja(ends[policy.default])


@dataclass(frozen=True, slots=True)
class _Steps:
    """A rule's tests: first the protocols that must be there, then values, the cheapest first."""

    guards: dict[str, frozenset[int]]
    tests: list[Test]

    @property
    def may_miss(self) -> bool:
        """Whether some frame does not match."""
        return bool(self.guards or self.tests)


def _steps(rule: Rule) -> _Steps | None:
    """What to test for a rule; None if no frame can match it."""
    guards: dict[str, frozenset[int]] = {}
    tests: list[Test] = []
    for condition in rule.conditions:
        guard = FIELDS[condition.key].guard
        if guard is not None:
            name, numbers = guard
            guards[name] = guards.get(name, numbers) & numbers
            if not guards[name]:
                return None
        test = test_of(condition)
        if test.is_never:
            return None
        if not test.is_always:
            tests.append(test)
    tests.sort(key=lambda test: test.cost)
    return _Steps(guards, tests)


def _emit_steps(asm: Assembler, steps: _Steps, miss: str) -> None:
    for field, numbers in steps.guards.items():
        emit_guard(asm, field, numbers, miss)
    for test in steps.tests:
        emit_test(asm, test, miss)
