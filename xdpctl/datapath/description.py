"""What a loaded pipeline is made of, written down in a map that lives and dies with its program.

The map `xdpctl_meta` is bound to the root's program, so replacing the program replaces its
description in the same instant: there is no state file that could disagree with the kernel.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from xdpctl.datapath.hashing import Shape
from xdpctl.datapath.layout import DEFAULT, FIRST_RULE, MALFORMED
from xdpctl.policy.digest import digest
from xdpctl.topology.model import Action, Policy, Verdict

FORMAT = 1
_LENGTH = struct.Struct("=I")
TERMINAL: tuple[Action, ...] = ("pass", "drop")
SMALLEST_BLOCK = 16
"""Counters that a device's policy takes at least."""


@dataclass(frozen=True, slots=True)
class RuleCounter:
    """Which counter of the block a rule counts on."""

    name: str
    action: Action
    counter: int


@dataclass(frozen=True, slots=True)
class PolicyLayout:
    """A policy as loaded: its index in the dispatch, its digest, where its rules count.

    Rules keep their counter while they keep their name and action, so counts survive an edit.
    `retired` are the counters of rules that are gone: their frames still belong to the totals.
    `room` is the size of a device's counter block.
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
        """Counters as the compiler wants them: one a rule, then default, then malformed."""
        return (*(rule.counter for rule in self.rules), DEFAULT, MALFORMED)

    def revised(self, policy: Policy) -> PolicyLayout | None:
        """The layout after an edit of the policy; None where the block has no room for it."""
        known = {(rule.name, rule.action): rule.counter for rule in (*self.retired, *self.rules)}
        following = max(known.values(), default=FIRST_RULE - 1) + 1
        rules: list[RuleCounter] = []
        for rule in policy.rules:
            counter = known.pop((rule.name, rule.action), None)
            if counter is None:
                counter, following = following, following + 1
            rules.append(RuleCounter(rule.name, rule.action, counter))
        if following > self.room:
            return None
        retired = tuple(
            RuleCounter(name, action, counter)
            for (name, action), counter in known.items()
            if action != "count"
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
        RuleCounter(rule.name, rule.action, FIRST_RULE + position)
        for position, rule in enumerate(policy.rules)
    )
    retired = tuple(
        RuleCounter("", action, FIRST_RULE + len(rules) + position)
        for position, action in enumerate(TERMINAL)
        if before is not None
    )
    wanted = FIRST_RULE + len(rules) + len(retired)
    room = max(SMALLEST_BLOCK, (wanted + wanted // 2 + 7) // 8 * 8)
    return PolicyLayout(policy.name, index, digest(policy), policy.default, rules, retired, room)


@dataclass(frozen=True, slots=True)
class Description:
    """A pipeline as loaded.

    root_policy, root_block   the root's own stage (None: it has none) and its counter block
    mode                      native: devices' policies run in the pipeline; generic: at the devices
    nonce                     what marks a frame that has passed a policy in this pipeline
    unknown                   what happens to unicast for no stacked device
    catch_all                 a passthru device takes it instead: the slot after the last
    shape                     of the dispatcher's perfect hash
    counters                  how many counters the map holds
    """

    topology: str
    root: str
    mode: Literal["native", "generic"]
    root_policy: str | None
    root_block: int
    nonce: int
    unknown: Verdict
    catch_all: bool
    shape: Shape
    counters: int
    policies: Mapping[str, PolicyLayout]

    def encode(self) -> bytes:
        """The map's value: the length, then JSON that `bpftool map dump` shows readably."""
        text = json.dumps(_plain(self), separators=(",", ":")).encode()
        return _LENGTH.pack(len(text)) + text

    @classmethod
    def decode(cls, value: bytes) -> Description:
        """Read back what `encode` wrote; raises ValueError for another format."""
        (length,) = _LENGTH.unpack_from(value)
        return _parsed(json.loads(value[_LENGTH.size : _LENGTH.size + length]))

    def by_index(self) -> dict[int, PolicyLayout]:
        """Policies by their index in the dispatch."""
        return {policy.index: policy for policy in self.policies.values()}


def _rows(rules: tuple[RuleCounter, ...]) -> list[list[Any]]:
    return [[rule.name, rule.action, rule.counter] for rule in rules]


def _plain(described: Description) -> dict[str, Any]:
    shape = described.shape
    return {
        "format": FORMAT,
        "topology": described.topology,
        "root": described.root,
        "mode": described.mode,
        "policy": described.root_policy,
        "block": described.root_block,
        "nonce": described.nonce,
        "unknown": described.unknown,
        "catch_all": described.catch_all,
        "shape": [shape.bucket_bits, shape.slot_bits, shape.multiplier],
        "counters": described.counters,
        "policies": {
            name: {
                "index": policy.index,
                "digest": policy.digest,
                "default": policy.default,
                "rules": _rows(policy.rules),
                "retired": _rows(policy.retired),
                "room": policy.room,
            }
            for name, policy in described.policies.items()
        },
    }


def _parsed(plain: dict[str, Any]) -> Description:
    if plain.get("format") != FORMAT:
        raise ValueError(f"a pipeline described in format {plain.get('format')}, not {FORMAT}")
    policies = {
        name: PolicyLayout(
            name=name,
            index=row["index"],
            digest=row["digest"],
            default=row["default"],
            rules=tuple(RuleCounter(*rule) for rule in row["rules"]),
            retired=tuple(RuleCounter(*rule) for rule in row["retired"]),
            room=row["room"],
        )
        for name, row in plain["policies"].items()
    }
    return Description(
        topology=plain["topology"],
        root=plain["root"],
        mode=plain["mode"],
        root_policy=plain["policy"],
        root_block=plain["block"],
        nonce=plain["nonce"],
        unknown=plain["unknown"],
        catch_all=plain["catch_all"],
        shape=Shape(*plain["shape"]),
        counters=plain["counters"],
        policies=policies,
    )
