"""What policies name: sets, devices, and what they send frames to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xdpctl.policy.bindings import target_key
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Policy, Rule, Set

SOCKETS = "userspace "
DEVICE = "redirect "
"""What the keys of targets begin with."""


def _rules(policies: Iterable[Policy]) -> Iterator[Rule]:
    return (rule for policy in policies for one in closure(policy) for rule in one.rules)


def sets_of(policies: Iterable[Policy]) -> dict[str, Set]:
    """The sets that the policies look into, by name."""
    found = {
        one.name: one
        for rule in _rules(policies)
        for condition in rule.conditions
        for one in condition.sets
    }
    return dict(sorted(found.items()))


def targets_of(policies: Iterable[Policy]) -> tuple[str, ...]:
    """Keys of the targets that the policies send frames to."""
    rules = [rule for rule in _rules(policies) if rule.action in ("redirect", "userspace")]
    return tuple(sorted({target_key(rule) for rule in rules}))


def redirected_to(targets: Iterable[str]) -> tuple[str, ...]:
    """The devices among the targets."""
    return tuple(key.removeprefix(DEVICE) for key in targets if key.startswith(DEVICE))


def devices_of(policies: Iterable[Policy]) -> tuple[str, ...]:
    """The devices whose ifindexes the programs must know."""
    policies = list(policies)
    found = {*redirected_to(targets_of(policies))}
    for rule in _rules(policies):
        found.update(name for condition in rule.conditions for name in condition.devices)
    return tuple(sorted(found))
