"""What a policy cuts off by its default although the device needs it.

Cut off is what no rule passes, sends elsewhere or hands to another program, and what a default (or
a drop without a match, which is as good as one) drops. What a rule with a match drops is meant so,
and a policy that passes nothing of a protocol is not asked for what the protocol needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from xdpctl.policy.algebra import Budget, Cell, GaveUpError, Part, Space, cut, first
from xdpctl.policy.counted import is_terminal
from xdpctl.policy.kinds import kinds
from xdpctl.policy.needs import NEEDS, Need, Traffic
from xdpctl.policy.regions import Claims, Region
from xdpctl.record import record
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Action, Policy, Rule

LOOKS, PIECES = 300_000, 5_000
"""How long to look at one policy: about a tenth of a second."""
WHOLE: Final = 3
"""The frames that are asked for are well formed, however deep the policy looks."""

ASKED: Final[tuple[Region, ...]] = tuple(
    region
    for group in NEEDS
    for need in group
    for needed, gets in need.cases
    for region in (needed, *gets.regions)
)

Fate = Literal["passed", "away", "dropped", "left"]
_FATES: Final[Mapping[Action, Fate]] = {"pass": "passed", "limit": "passed", "drop": "dropped"}


@record
class Cut:
    """Needed frames that a policy cuts off. `at`: the index that a rule for them would have."""

    need: Need
    at: int


@record
class _End:
    """What becomes of some frames; `left` is what a default drops.

    at  the rule of the first policy by which they left it, or the number of its rules
    """

    fate: Fate
    at: int


def cut_off(policy: Policy, claims: Claims) -> Iterator[Cut]:
    """What a policy cuts off of all that its devices need."""
    policies = closure(policy)
    if any(map(_may_leave, policies)):
        yield from _Walk(policy, policies, claims).run()


def _may_leave(policy: Policy) -> bool:
    return policy.default == "drop" or any(map(_is_default, policy.rules))


def _is_default(rule: Rule) -> bool:
    """Whether a rule is as good as a default of drop."""
    return rule.action == "drop" and not rule.conditions


class _Walk:
    """Follows frames through a policy and those that it leads to."""

    def __init__(self, policy: Policy, policies: tuple[Policy, ...], claims: Claims) -> None:
        self._policy = policy
        every = [region for one in policies for each in claims.of(one) for region in each.regions]
        asked = kinds(frozenset().union(*every), WHOLE, ASKED)
        self._space = space = Space(every, asked.values)
        self._frames = {
            id(region): frames for region, frames in zip(ASKED, asked.regions, strict=True)
        }
        self._rows: dict[int, tuple[list[Part], list[tuple[int, bool]]]] = {}
        for one in policies:
            parts, owners = [], []
            for index, (rule, each) in enumerate(zip(one.rules, claims.of(one), strict=True)):
                if is_terminal(rule):
                    parts += [space.part(region) for region in each.regions]
                    owners += [(index, each.certain)] * len(each.regions)
            self._rows[id(one)] = parts, owners

    def run(self) -> Iterator[Cut]:
        """The first need of each group that is cut off."""
        for group in NEEDS:
            for need in group:
                places = [self._place(*case) for case in need.cases]
                if None not in places:
                    yield Cut(need, min(place for place in places if place is not None))
                    break

    def _place(self, needed: Region, gets: Traffic) -> int | None:
        """Where a rule for the needed frames belongs; None if they are not cut off."""
        at = -1
        try:
            for end in self._ends(needed):
                if end.fate in ("passed", "away"):
                    return None
                if end.fate == "left":
                    at = max(at, end.at)
            return at if at >= 0 and self._gets(gets) else None
        except GaveUpError:
            return None

    def _gets(self, traffic: Traffic) -> bool:
        if self._any(traffic.sure):
            return True
        if not self._any(traffic.likely):
            return False
        return self._any(traffic.own) or not self._any(traffic.instead)

    def _any(self, regions: tuple[Region, ...]) -> bool:
        """Whether something of them passes."""
        return any(end.fate == "passed" for region in regions for end in self._ends(region))

    def _ends(self, region: Region) -> Iterator[_End]:
        """All that may become of some frames."""
        budget = Budget(LOOKS, PIECES)
        cells = [self._space.cell(frame) for frame in self._frames[id(region)]]
        waiting: list[tuple[Policy, int, Cell, int | None]]
        waiting = [(self._policy, 0, cell, None) for cell in cells]
        while waiting:
            policy, start, cell, way = waiting.pop()
            parts, owners = self._rows[id(policy)]
            place = first(cell, parts, start)
            budget.spend(place + 1 - start, 1)
            split = cut(cell, parts[place]) if place < len(parts) else None
            if split is None:
                yield _by_default(policy, way)
                continue
            index, certain = owners[place]
            rule, at = policy.rules[index], index if way is None else way
            rest = split[1] if certain else [cell]
            waiting += [(policy, place + 1, piece, way) for piece in rest]
            if rule.into is None or rule.into.object is not None:
                yield _End("left" if _is_default(rule) else _FATES.get(rule.action, "away"), at)
            else:
                waiting.append((rule.into, 0, split[0], at))


def _by_default(policy: Policy, way: int | None) -> _End:
    fate: Fate = "passed" if policy.default == "pass" else "left"
    return _End(fate, len(policy.rules) if way is None else way)
