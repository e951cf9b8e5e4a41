"""Where the rules of a loaded policy count, and how that outlives its edits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from xdpctl.datapath.layout import DEFAULT, FIRST_RULE, HEAD, LANES, MALFORMED
from xdpctl.policy.counted import Counted, counted
from xdpctl.policy.digest import digest
from xdpctl.record import record
from xdpctl.topology.model import Action, Outcome, Policy, Verdict

TERMINAL: Final[tuple[Outcome, ...]] = ("pass", "drop", "tx", "redirect")
_OUTCOMES: Final[dict[Action, Outcome]] = {
    "pass": "pass", "drop": "drop", "tx": "tx", "redirect": "redirect", "userspace": "redirect",
    "limit": "pass",
}  # fmt: skip
SMALLEST_BLOCK: Final = 16
"""Counters that a device's policy takes at least."""


@record
class RuleCounter:
    """Which counter a rule counts on: how far behind the begin of the block it stands.

    policy  the policy that the rule is of, if another leads to it; its default is a rule, too
    over    it counts what is over the rule's limit
    target  redirect, userspace: where to
    """

    name: str
    action: Action
    counter: int
    policy: str = ""
    over: bool = False
    target: str = ""

    @property
    def key(self) -> tuple[str, str, Action, bool, str]:
        """What makes it the same rule after an edit."""
        return self.policy, self.name, self.action, self.over, self.target

    @property
    def verdict(self) -> Outcome | None:
        """What it decides; None where it only counts."""
        return "drop" if self.over else _OUTCOMES.get(self.action)


@record
class PolicyLayout:
    """A policy as loaded: its index in the dispatch, its digest, where its rules count.

    Rules keep their counter while they keep their name and action, so counts survive an edit.
    `retired` are the counters of rules that are gone: their frames still belong to the totals.
    `room` is how many counters a device's block has.
    """

    name: str
    index: int
    digest: str
    default: Verdict
    rules: tuple[RuleCounter, ...]
    retired: tuple[RuleCounter, ...]
    room: int

    @property
    def numbering(self) -> tuple[int, ...]:
        """Counters as the compiler wants them: those of `counted`, then the malformed frames'."""
        own = [rule.counter for rule in self.rules if not rule.policy]
        others = [rule.counter for rule in self.rules if rule.policy]
        return (*own, DEFAULT, *others, MALFORMED)

    def revised(self, policy: Policy) -> PolicyLayout | None:
        """The layout after an edit of the policy; None where the block has no room for it."""
        known = {rule.key: rule.counter for rule in (*self.retired, *self.rules)}
        following = max(known.values(), default=FIRST_RULE - LANES) + LANES
        rules: list[RuleCounter] = []
        for row in _rows(policy):
            counter = known.pop(row.key, None)
            if counter is None:
                counter, following = following, following + LANES
            rules.append(replace(row, counter=counter))
        if following > self.room * LANES:
            return None
        retired = tuple(
            RuleCounter(name, action, counter, of, over, target)
            for (of, name, action, over, target), counter in known.items()
        )
        return replace(
            self,
            digest=digest(policy),
            default=policy.default,
            rules=tuple(rules),
            retired=retired,
        )


def layout(policy: Policy, index: int, before: PolicyLayout | None = None) -> PolicyLayout:
    """The layout of a policy that is loaded into new maps, with room to grow.

    Of rules that were in it `before` and are gone, one counter a verdict keeps the totals.
    """
    rules = tuple(
        replace(row, counter=FIRST_RULE + position * LANES)
        for position, row in enumerate(_rows(policy))
    )
    retired = tuple(
        RuleCounter("", verdict, FIRST_RULE + (len(rules) + position) * LANES)
        for position, verdict in enumerate(TERMINAL)
        if before is not None
    )
    wanted = len(HEAD) + len(rules) + len(retired)
    room = max(SMALLEST_BLOCK, (wanted + wanted // 2 + 7) // 8 * 8)
    return PolicyLayout(policy.name, index, digest(policy), policy.default, rules, retired, room)


VERDICTS_OF_PROGRAMS: Final[dict[str, Action]] = {
    "pass": "pass", "drop": "drop", "tx": "tx", "redirect": "redirect", "aborted": "drop",
}  # fmt: skip
"""What a user's program is counted by, in the place of rules."""


def _rows(policy: Policy) -> list[RuleCounter]:
    """The policy's counters without numbers; its own default has a place in the block's head."""
    if policy.object is not None:
        return [RuleCounter(name, action, 0) for name, action in VERDICTS_OF_PROGRAMS.items()]
    return [_row(policy, row) for row in counted(policy) if row.rule or row.policy is not policy]


def _row(policy: Policy, row: Counted) -> RuleCounter:
    of = "" if row.policy is policy else row.policy.name
    if row.rule is None:
        return RuleCounter("default", row.policy.default, 0, of)
    target = row.rule.target if row.rule.into is None else ""
    return RuleCounter(row.rule.name, row.rule.action, 0, of, row.over, target)
