"""A packet's way through the stages, and how the counters that moved tell it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Literal

from xdpctl.datapath.description import Description
from xdpctl.datapath.layout import DEFAULT, FLOOD, FLOODED, LANES, MALFORMED, UNKNOWN
from xdpctl.datapath.loaded import Entry
from xdpctl.datapath.policy_layout import PolicyLayout, RuleCounter
from xdpctl.datapath.seats import shown
from xdpctl.record import record
from xdpctl.topology.model import Outcome, Verdict

Layer = Literal["native", "generic", "dispatched", "backstop"]


@record
class Hop:
    """One stage that decided on a packet.

    layer    native, generic: the stage of the root, or of its port; dispatched: one that comes
             after it in the root's pipeline; backstop: the same at the device itself
    rule     the rule's name; or default, malformed, flood, unknown where no rule decided
    policy   the one that the rule is of, which the device's own may have led to
    number   the rule's, from 1
    counted  names of the rules that it met before, and that only count
    target   redirect: where to
    """

    device: str
    layer: Layer
    policy: str | None
    rule: str
    verdict: Outcome
    number: int | None = None
    counted: tuple[str, ...] = ()
    target: str = ""


@record
class Journey:
    """All of a packet's hops, and its end: the device that it reached, and the frame there."""

    hops: tuple[Hop, ...]
    verdict: Outcome
    reached: str
    frame: bytes

    @property
    def at(self) -> str:
        """The device whose stage decided; where none did, the one that it reached."""
        return self.hops[-1].device if self.hops else self.reached


@record
class _Stage:
    """Whose counter block it is."""

    device: str
    policy: PolicyLayout | None
    flood: int = FLOOD["enforce"]


class Blocks:
    """Tells from the counters that moved which stages decided, and by which rule.

    `names` are the devices' by ifindex, lower ones first.
    """

    def __init__(
        self, described: Description, entries: Mapping[int, Entry], names: Mapping[int, str]
    ) -> None:
        self._described = described
        layouts = described.by_index()
        root = described.policies.get(described.root_policy or "")
        self._stages = {described.root_block: _Stage(described.root, root)}
        for entry in entries.values():
            stage = _Stage(names[entry.ifindex], layouts[entry.policy], entry.flood)
            self._stages[entry.block] = stage
        order = {name: number for number, name in enumerate(names.values())}
        self._order = {start: order.get(one.device, -1) for start, one in self._stages.items()}
        self._starts = [sorted(s for s in self._stages if s % LANES == lane)
                        for lane in range(LANES)]  # fmt: skip

    def _start(self, counter: int) -> int | None:
        """The begin of the block that the counter is of; None if no block that is known has it."""
        lane = self._starts[counter % LANES]
        at = bisect_right(lane, counter)
        return lane[at - 1] if at else None

    def met(self, counter: int) -> tuple[str, str, RuleCounter | None] | None:
        """Whose counter it is: device, policy, and the rule (None: of the block's head).

        None where it is that of a device which came later.
        """
        start = self._start(counter)
        if start is None:
            return None
        stage = self._stages[start]
        if stage.policy is None:
            return stage.device, "", None
        rules = (rule for rule in stage.policy.rules if rule.counter == counter - start)
        rule = next(rules, None)
        of = rule.policy if rule is not None and rule.policy else stage.policy.name
        return stage.device, of, rule

    def hops(self, moved: list[int], layer: Layer | None = None) -> list[Hop]:
        """The stages that counted one packet on these counters, the root's first.

        `layer` is where they ran, if that was not in the root's program.
        """
        found: dict[int, list[int]] = {}
        for counter in moved:
            start = self._start(counter)
            if start is not None:
                found.setdefault(start, []).append(counter - start)
        hops: list[Hop] = []
        for start in sorted(found, key=self._order.__getitem__):
            stage = self._stages[start]
            hops += self._decided(stage, found[start], layer or self._layer(stage, first=not hops))
        return hops

    def _layer(self, stage: _Stage, *, first: bool) -> Layer:
        """The driver's hook for what the frame meets first: the port, else the root."""
        described = self._described
        at_hook = stage.device == described.root or stage.device in described.ports
        return described.mode if at_hook and first else "dispatched"

    def _decided(self, stage: _Stage, moved: list[int], layer: Layer) -> Iterator[Hop]:
        """What one stage decided; on the root also what became of unicast for nobody.

        The latter is told if it dropped the packet, or if nothing else decided.
        """
        policy, unknown = stage.policy, self._described.unknown
        name = shown(policy.name) if policy is not None else None
        if policy is not None and name is not None:
            yield from _by_policy(stage.device, policy, moved, layer)
        if FLOODED in moved:
            verdict: Verdict = "pass" if stage.flood == FLOOD["pass"] else "drop"
            yield Hop(stage.device, layer, name, "flood", verdict)
        if UNKNOWN in moved and (unknown == "drop" or moved == [UNKNOWN]):
            yield Hop(stage.device, layer, None, "unknown", unknown)


def _by_policy(device: str, policy: PolicyLayout, moved: list[int], layer: Layer) -> Iterator[Hop]:
    """What the policy's rules decided, or its default."""
    met = [rule for rule in policy.rules if rule.counter in moved]
    counted = tuple(rule.name for rule in met if rule.verdict is None)
    for rule in met:
        if rule.verdict is not None:
            of, number = rule.policy or policy.name, _number(policy, rule)
            yield Hop(device, layer, of, rule.name, rule.verdict, number, counted, rule.target)
    for counter, name in ((DEFAULT, "default"), (MALFORMED, "malformed")):
        if counter in moved:
            yield Hop(device, layer, policy.name, name, policy.default, None, counted)


def _number(policy: PolicyLayout, rule: RuleCounter) -> int | None:
    """The rule's number within its own policy; None for a default."""
    names = [one.name for one in policy.rules if one.policy == rule.policy and not one.over]
    is_default = rule.policy != "" and rule.name == "default"
    return None if is_default else names.index(rule.name) + 1
