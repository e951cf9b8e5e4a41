"""The rules that a frame of one protocol can match, in a chain of their own.

A policy's rules are about TCP here and UDP there. A frame has one protocol, so it would test for
the others' again and again; instead it is told once, and goes through the rules that are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from xdpctl.policy.fields import TCP, UDP
from xdpctl.policy.known import narrowed
from xdpctl.policy.steps import Steps
from xdpctl.record import record

Numbered = tuple[int, Steps]
"""A rule's index in the policy, and what is tested for it."""

FIELD: Final = "l4"
_OWN: Final = (UDP, TCP)
"""Protocols that have chains of their own; any other goes through one chain with guards."""
_FEWEST_GROUPS: Final = 3
"""Groups of neighbouring rules with the same protocols: fewer are tested as fast one by one."""
_MOST_COPIES: Final = 32
"""Rules that stand in one chain more, in all chains together."""


@record
class Chains:
    """The rules for frames of a protocol, by its number, and those for all others."""

    others: tuple[Numbered, ...]
    own: Mapping[int, tuple[Numbered, ...]]


def chains(rules: Sequence[Numbered]) -> Chains:
    """No chain of its own for any protocol where nothing is gained by it."""
    guarded = [allowed for allowed, _ in groupby(rules, key=_protocols) if allowed]
    own = frozenset(number for number in _OWN if any(number in each for each in guarded))
    alone = Chains(tuple(rules), {})
    if len(guarded) < _FEWEST_GROUPS or not own:
        return alone
    made = Chains(
        tuple(each for rule in rules for each in _without(rule, own)),
        {number: tuple(each for rule in rules for each in _of(rule, number))
         for number in sorted(own)},
    )  # fmt: skip
    copies = len(made.others) + sum(map(len, made.own.values())) - len(rules)
    return made if copies <= _MOST_COPIES else alone


def _protocols(rule: Numbered) -> frozenset[int] | None:
    return rule[1].guards.get(FIELD)


def _of(rule: Numbered, protocol: int) -> list[Numbered]:
    """The rule for a frame that is known to be of the protocol; nothing if it can't match."""
    index, steps = rule
    left = narrowed(steps, protocol)
    return [(index, left)] if left is not None else []


def _without(rule: Numbered, known: frozenset[int]) -> list[Numbered]:
    """The rule for a frame that is of none of these protocols."""
    index, steps = rule
    allowed = _protocols(rule)
    if allowed is None:
        return [rule]
    left = allowed - known
    return [(index, replace(steps, guards={**steps.guards, FIELD: left}))] if left else []
