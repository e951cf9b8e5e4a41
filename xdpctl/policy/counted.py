"""What a policy counts on, in one order that compiler, evaluator and counter blocks share."""

from __future__ import annotations

from dataclasses import dataclass

from xdpctl.topology.closure import closure
from xdpctl.topology.model import Policy, Rule


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """One counter: a rule's; that of what is over its limit; or a policy's default.

    index  the rule's, from 0; the default's is that behind the last
    """

    policy: Policy
    index: int
    over: bool = False

    @property
    def rule(self) -> Rule | None:
        """The rule; None for the default."""
        return self.policy.rules[self.index] if self.index < len(self.policy.rules) else None

    @property
    def key(self) -> tuple[int, int, bool]:
        """What tells it from the others."""
        return id(self.policy), self.index, self.over


def counted(policy: Policy) -> tuple[Counted, ...]:
    """Its counters but that of malformed frames, which comes last: of a policy without limits and
    without other policies the rules', then the default's.
    """
    found: list[Counted] = []
    for one in closure(policy):
        for index, rule in enumerate(one.rules):
            found.append(Counted(one, index))
            if rule.action == "limit":
                found.append(Counted(one, index, over=True))
        found.append(Counted(one, len(one.rules)))
    return tuple(found)


def is_terminal(rule: Rule) -> bool:
    """Whether no later rule of the policy sees what matches the rule."""
    return rule.action not in ("count", "log")
