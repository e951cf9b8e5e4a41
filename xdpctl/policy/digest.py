"""The digest of a policy: equal where two policies mean, and show, the same."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from xdpctl.policy.compiler import VERSION
from xdpctl.topology.model import Policy

DIGITS: Final = 12


def digest(policy: Policy) -> str:
    """12 hex digits over rules, their names, the default and the compiler's version.

    The policy's own name, the places of its rules in the file and the order of the conditions
    within a rule are no part of it.
    """
    meaning = [
        VERSION,
        policy.default,
        [
            [
                rule.name,
                rule.action,
                sorted(
                    [
                        condition.key,
                        condition.negated,
                        [[interval.low, interval.high] for interval in condition.intervals],
                        [[masked.value, masked.mask] for masked in condition.masks],
                    ]
                    for condition in rule.conditions
                ),
            ]
            for rule in policy.rules
        ],
    ]
    text = json.dumps(meaning, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
