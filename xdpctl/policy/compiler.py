"""Policies to instructions. The rules read the header record (record.py) and nothing else.

Registers: R6 context, R7 frame length, R8 counter block, R9 the caller's: untouched. R0 to R5 are
clobbered. Stack: the record is read; below TARGET (record.py) the rules' own part is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from xdpctl.bpf.asm import R1, R10, Assembler, W
from xdpctl.policy.bindings import Bindings, target_key
from xdpctl.policy.chains import FIELD as CHAIN_FIELD
from xdpctl.policy.chains import Numbered, chains
from xdpctl.policy.conditions import emit_guard, emit_test
from xdpctl.policy.counted import counted, is_terminal
from xdpctl.policy.fields import FIELDS, record_fields
from xdpctl.policy.limit import emit_limit
from xdpctl.policy.record import RECORD, TARGET
from xdpctl.policy.sample import emit_sample
from xdpctl.policy.steps import Steps, steps_of
from xdpctl.record import record
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Policy

_PARSED = RECORD["parsed"]


@record
class Needs:
    """What `emit_parse` must find for some policies: how deep, and which fields of the record."""

    depth: int
    fields: frozenset[str]


@record
class Ends:
    """The labels that the ways out of a policy jump to. There R1 is the counter that decided; at
    `redirected` the stack's TARGET is the number of the target.
    """

    passed: str = "passed"
    dropped: str = "dropped"
    tx: str = "tx"
    redirected: str = "redirected"

    @property
    def by_action(self) -> dict[str, str]:
        """Of actions that decide."""
        return {
            "pass": self.passed,
            "drop": self.dropped,
            "tx": self.tx,
            "redirect": self.redirected,
            "userspace": self.redirected,
        }


def depth(policy: Policy) -> int:
    """The deepest layer of the keys of the policy and those it leads to; 0: it looks at nothing."""
    return max((FIELDS[key].layer for key in _keys(policy)), default=0)


def own_depth(policy: Policy) -> int:
    """The same of the policy's own keys alone."""
    keys = (key for rule in policy.rules for one in rule.conditions for key in one.keys)
    return max((FIELDS[key].layer for key in keys), default=0)


def requirements(policies: Iterable[Policy]) -> Needs:
    """What all of the policies together need parsed."""
    deepest, keys = 0, set[str]()
    for policy in policies:
        keys.update(_keys(policy))
        deepest = max(deepest, depth(policy))
    fields = {field for key in keys for field in record_fields(key)}
    return Needs(deepest, frozenset({"parsed", *fields}))


def _keys(policy: Policy) -> Iterable[str]:
    return (
        key
        for one in closure(policy)
        for rule in one.rules
        for condition in rule.conditions
        for key in condition.keys
    )


def emit_policy(
    asm: Assembler,
    policy: Policy,
    *,
    prefix: str,
    count: Callable[[Assembler, int], None],
    ends: Ends | None = None,
    bindings: Bindings | None = None,
    numbering: Sequence[int] | None = None,
    steps: Sequence[Steps | None] | None = None,
) -> None:
    """Emit the rules; every way ends in a jump to one of `ends`.

    There R1 is the index of the counter that decided, within the device's block: `numbering` has
    one for each of `counted`, then that of malformed frames (None: 0 … n).
    `steps` are those of the policy's own rules (None: its own), where some numbers may be
    parameters (shape.py): R9 is the row that has them.
    `count(asm, index)` adds one packet to that counter and may clobber R0 to R5. Labels of the
    policy's own begin with `prefix`. Which of the ends are reached depends on the policy: see
    Assembler.is_used.
    """
    rows = counted(policy)
    numbers = range(len(rows) + 1) if numbering is None else numbering
    writer = _Writer(asm, prefix, count, ends or Ends(), bindings or Bindings())
    if steps is not None:
        writer.steps[id(policy)] = steps
    writer.numbers = {row.key: number for row, number in zip(rows, numbers, strict=False)}
    writer.write(policy, numbers[-1])


class _Writer:
    """Writes one policy and those that it leads to, each once."""

    def __init__(
        self,
        asm: Assembler,
        prefix: str,
        count: Callable[[Assembler, int], None],
        ends: Ends,
        bindings: Bindings,
    ) -> None:
        self._asm = asm
        self._prefix = prefix
        self._count = count
        self._ends = ends.by_action
        self._bindings = bindings
        self.numbers: dict[tuple[int, int, bool], int] = {}
        self.steps: dict[int, Sequence[Steps | None]] = {}
        self._starts: dict[int, str] = {}

    def write(self, policy: Policy, malformed: int) -> None:
        """All of it. A frame that is malformed for a policy takes that policy's default; of the
        first it counts as malformed, of those it leads to on the default's counter.
        """
        asm = self._asm
        for one in closure(policy):
            start = self._start(one)
            if one is policy or asm.is_used(start):
                asm.label(start)
                own = self.numbers[id(one), len(one.rules), False]
                self._whole(one, malformed if one is policy else own)

    def _whole(self, policy: Policy, malformed: int) -> None:
        """The policy's rules for frames that parsed as deep as they look."""
        asm, layer = self._asm, own_depth(policy)
        bad = asm.unique(f"{self._prefix}malformed")
        if layer:
            asm.line(policy.location)
            asm.load(_PARSED.size, R1, R10, _PARSED.offset)
            asm.jump32("<", R1, layer, bad)
        self._policy(policy)
        if layer:
            asm.line(policy.location)
            asm.label(bad)
            asm.mov(R1, malformed)
            asm.ja(self._ends[policy.default])

    def _start(self, policy: Policy) -> str:
        if id(policy) not in self._starts:
            self._starts[id(policy)] = self._asm.unique(f"{self._prefix}policy")
        return self._starts[id(policy)]

    def _policy(self, policy: Policy) -> None:
        asm = self._asm
        asm.line(policy.location)
        plans = self.steps.get(id(policy)) or steps_of(policy, self._bindings)
        met = [(index, steps) for index, steps in enumerate(plans) if steps is not None]
        found = chains(met)
        labels = {protocol: asm.unique(f"{self._prefix}chain") for protocol in found.own}
        if labels:
            slot = RECORD[CHAIN_FIELD]
            asm.load(slot.size, R1, R10, slot.offset)
        for protocol, label in labels.items():
            asm.jump32("==", R1, protocol, label)
        self._chain(policy, found.others)
        for protocol, label in labels.items():
            asm.label(label)
            self._chain(policy, found.own[protocol])

    def _chain(self, policy: Policy, rules: Sequence[Numbered]) -> None:
        """The rules in their order, then the policy's default."""
        asm = self._asm
        for guards, alike in groupby(rules, key=lambda each: each[1].guards):
            if self._alike(policy, guards, list(alike)):
                return
        asm.line(policy.location)
        asm.mov(R1, self.numbers[id(policy), len(policy.rules), False])
        asm.ja(self._ends[policy.default])

    def _alike(
        self, policy: Policy, guards: Mapping[str, frozenset[int]], rules: list[tuple[int, Steps]]
    ) -> bool:
        """Neighbouring rules with the same guards, which are tested once; whether no frame gets
        past them (the verifier refuses what cannot be reached).
        """
        asm = self._asm
        behind = asm.unique(f"{self._prefix}guarded")
        for number, (index, steps) in enumerate(rules):
            rule, following = policy.rules[index], asm.unique(f"{self._prefix}rule")
            asm.line(rule.location)
            if number == 0:
                _emit_guards(asm, guards, behind)
            for test in steps.tests:
                emit_test(asm, test, following, self._bindings)
            self._act(policy, index)
            asm.label(following)
            if is_terminal(rule) and not steps.tests:
                asm.label(behind)
                return not guards
        asm.label(behind)
        return False

    def _act(self, policy: Policy, index: int) -> None:
        """What the rule of this index does once it matches."""
        asm, rule = self._asm, policy.rules[index]
        number = self.numbers[id(policy), index, False]
        if rule.action == "limit" and rule.rate is not None:
            over = asm.unique(f"{self._prefix}over")
            emit_limit(asm, rule.rate, number, self._bindings.limits, over)
            asm.mov(R1, number)
            asm.ja(self._ends["pass"])
            asm.label(over)
            asm.mov(R1, self.numbers[id(policy), index, True])
            asm.ja(self._ends["drop"])
            return
        if rule.target and rule.action in self._ends:
            asm.store(W, R10, TARGET, self._bindings.targets[target_key(rule)])
        if rule.action in self._ends:
            asm.mov(R1, number)
            asm.ja(self._ends[rule.action])
            return
        self._count(asm, number)
        if rule.action == "log":
            emit_sample(asm, self._bindings, number)
        elif rule.into is not None:
            asm.ja(self._start(rule.into))


def _emit_guards(asm: Assembler, guards: Mapping[str, frozenset[int]], miss: str) -> None:
    for field, numbers in guards.items():
        emit_guard(asm, field, numbers, miss)
