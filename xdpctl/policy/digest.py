"""The digest of a policy: equal where two policies mean, and show, the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, Final

from xdpctl.policy.set_layout import layout
from xdpctl.policy.version import VERSION
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Condition, Policy, Rule

DIGITS: Final = 12


def digest(policy: Policy) -> str:
    """12 hex digits over rules, their names, the default and the compiler's version; over those of
    the policies that it leads to as well.

    The policy's own name, the places of its rules in the file and the order of the conditions
    within a rule are no part of it, nor what is in sets, which changes by itself.
    """
    known = {id(one): number for number, one in enumerate(closure(policy))}
    meaning = [VERSION, *(_meaning(one, known) for one in closure(policy))]
    text = json.dumps(meaning, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _meaning(policy: Policy, known: dict[int, int]) -> list[Any]:
    name = policy.name if known[id(policy)] else ""  # counters are called by it
    program = asdict(policy.object) | {"path": ""} if policy.object is not None else None
    return [name, policy.default, [_rule(rule, known) for rule in policy.rules], program]


def _rule(rule: Rule, known: dict[int, int]) -> list[Any]:
    return [
        rule.name,
        rule.action,
        sorted((_condition(condition) for condition in rule.conditions), key=json.dumps),
        rule.target if rule.into is None else known[id(rule.into)],
        asdict(rule.rate) if rule.rate is not None else None,
    ]


def _condition(condition: Condition) -> list[Any]:
    return [
        condition.key,
        condition.negated,
        [[interval.low, interval.high] for interval in condition.intervals],
        [[masked.value, masked.mask] for masked in condition.masks],
        [[one.name, one.type, one.keys, layout(one).signature] for one in condition.sets],
        condition.devices,
    ]
