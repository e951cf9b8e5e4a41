"""Rules that never match: their conditions are at odds, or earlier rules take all their frames.

A rule said to be idle is; not every idle rule is found: a set's entries, chance and the mask of a
MAC address that is no prefix are not looked into, and long searches are given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Final

from xdpctl.policy.algebra import Budget, Cell, GaveUpError, Part, Space, takers, within
from xdpctl.policy.counted import is_terminal
from xdpctl.policy.kinds import depth, kinds
from xdpctl.policy.regions import Claim, Claims, claim, meet
from xdpctl.record import record
from xdpctl.topology.model import Policy, Rule

LOOKS_A_POLICY: Final = 3_000_000
"""Parts looked at for one policy: about a second."""
LOOKS, PIECES = 100_000, 2_000
"""Parts looked at and pieces cut for one rule."""
_MOST_NAMED, _MOST_TRIED, _MOST_AT_ODDS = 4, 8, 3


@record
class Idle:
    """A rule that never matches. `why` goes on after "never matches: "."""

    index: int
    why: str


def idle_rules(policy: Policy, claims: Claims) -> Iterator[Idle]:
    """The rules of a policy that never match, as far as they are found."""
    return _Search(policy, claims).run()


def called(index: int, rule: Rule) -> str:
    """A rule's number and, where it has one, its name."""
    number = str(index + 1)
    return number if rule.name == number else f"{number} {rule.name!r}"


class _Search:
    """One policy's rules as regions, and those that earlier rules take for certain."""

    def __init__(self, policy: Policy, claims: Claims) -> None:
        self._policy = policy
        self._claims = claims.of(policy)
        regions = [region for one in self._claims for region in one.regions]
        found = kinds(frozenset().union(*regions), depth(policy))
        self._space = Space(regions, found.values)
        self._frames = [self._space.cell(frame) for frame in found.regions[0]]
        self._taken: list[Part] = []
        self._owners: list[int] = []
        self._owned: dict[int, list[Part]] = {}
        self._left = LOOKS_A_POLICY

    def run(self) -> Iterator[Idle]:
        """Judge each rule by those before it."""
        for index, rule in enumerate(self._policy.rules):
            one = self._claims[index]
            parts = [self._space.part(region) for region in one.regions]
            if why := self._why(rule, parts):
                yield Idle(index, why)
            elif one.certain and is_terminal(rule):
                self._taken += parts
                self._owners += [index] * len(parts)
                self._owned[index] = parts

    def _why(self, rule: Rule, parts: list[Part]) -> str:
        """Why a rule never matches; empty if it may, or it takes too long to know."""
        budget = Budget(min(LOOKS, self._left), PIECES)
        self._left -= budget.looks
        try:
            found = takers(self._cells(parts), self._taken, budget)
            if found is None:
                return ""
            if not found:
                return at_odds(rule, depth(self._policy))
            owners = sorted({self._owners[place] for place in found})
            return self._named([*self._cells(parts)], owners, budget)
        except GaveUpError:
            return ""
        finally:
            self._left += max(budget.looks, 0)

    def _cells(self, parts: list[Part]) -> Iterator[Cell]:
        """The frames that there are in some parts."""
        for part in parts:
            for frame in self._frames:
                cell = within(frame, part)
                if cell is not None:
                    yield cell

    def _named(self, cells: list[Cell], owners: list[int], budget: Budget) -> str:
        """The rules that take the cells: one that does it alone, or a few that do together."""

        def suffice(owners: list[int]) -> bool:
            parts = [part for owner in owners for part in self._owned[owner]]
            return takers(cells, parts, budget) is not None

        for owner in owners:
            if suffice([owner]):
                return f"rule {self._name(owner)} before it takes all of its frames"
        for owner in owners if len(owners) <= _MOST_TRIED else ():
            fewer = [other for other in owners if other != owner]
            owners = fewer if suffice(fewer) else owners
        names = [self._name(owner) for owner in owners]
        if len(names) > _MOST_NAMED:
            names = [*names[:_MOST_NAMED], f"{len(names) - _MOST_NAMED} more"]
        return f"rules {_listed(names)} before it together take all of its frames"

    def _name(self, index: int) -> str:
        return called(index, self._policy.rules[index])


def at_odds(rule: Rule, depth: int) -> str:
    """The fewest of a rule's conditions that no frame meets, of a rule that no frame meets."""
    most = min(len(rule.conditions), _MOST_AT_ODDS)
    for count in range(1, most + 1):
        for some in combinations(rule.conditions, count):
            if not _is_met(claim(replace(rule, conditions=some)), depth):
                return _unmet([condition.key for condition in some])
    return _unmet([condition.key for condition in rule.conditions])


def _is_met(one: Claim, depth: int) -> bool:
    (frames,) = kinds(frozenset().union(*one.regions), depth).regions
    return any(meet(region, frame) is not None for region in one.regions for frame in frames)


def _unmet(keys: list[str]) -> str:
    return f"no frame is as {_listed(keys)} {'want' if len(keys) > 1 else 'wants'} it"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
