"""Steps and what must come before them: a small, stable dependency sort.

A step prefers a stage and within it a rank. The stages: EARLY is before the datapath is synced,
MEMBERS after that, but before the sync of what ports enter or leave, LATE after both, LAST at the
end. Whatever a step needs is pulled into the step's own stage. Equal steps keep
the order in which they were added, so the same input always gives the same plan.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from xdpctl.plan.link_operations import LinkOperation
from xdpctl.plan.operation import Action, Operation

Key = tuple[str, str]
"""What a step does, and to which link: ("create", "web0")."""

EARLY, MEMBERS, LATE, LAST = range(4)

STAGES = {
    "keep": LATE,
    "delete": LAST,
    "release": MEMBERS,
    "free": MEMBERS,
    "down": MEMBERS,
    "aside": LATE,
    "rework": MEMBERS,
    "mtu": LATE,
    "create": EARLY,
    "label": EARLY,
    "move": EARLY,
    "enslave": MEMBERS,
    "port": MEMBERS,
    "settle": LATE,
    "after": LATE,
}
RANKS = {verb: rank for rank, verb in enumerate(STAGES)}


@dataclass(slots=True)
class Step:
    """One operation, whose line of the plan it belongs to, and the keys that it must follow."""

    operation: LinkOperation
    subject: str
    needs: set[Key] = field(default_factory=set)


class Steps:
    """A set of steps under construction."""

    def __init__(self) -> None:
        self.steps: dict[Key, Step] = {}
        self.actions: dict[str, list[Action]] = {}
        self.fixed: dict[Key, list[Action]] = {}
        self.hastened: set[Key] = set()

    def add(
        self, verb: str, operation: LinkOperation, *, subject: str = "", needs: Iterable[Key] = ()
    ) -> None:
        """Add a step; needs that no step provides are ignored in the end."""
        key = (verb, operation.name)
        self.steps[key] = Step(operation, subject or operation.name, set(needs))

    def __contains__(self, key: Key) -> bool:
        return key in self.steps

    def show(self, subject: str, action: Action) -> None:
        """Add a line of the plan; the first step of the subject carries it."""
        self.actions.setdefault(subject, []).append(action)

    def show_at(self, key: Key, action: Action) -> None:
        """Add a line of the plan that this very step carries."""
        self.fixed.setdefault(key, []).append(action)

    def require(self, key: Key, *needs: Key) -> None:
        """Make the step at `key`, if there is one, follow `needs`."""
        if key in self.steps:
            self.steps[key].needs.update(needs)

    def hasten(self, key: Key) -> None:
        """Make the step at `key`, if there is one, an early one."""
        self.hastened.add(key)

    def ordered(self) -> tuple[tuple[Operation, ...], ...]:
        """The operations before, between and after the two syncs, with the plan's lines."""
        for key, step in self.steps.items():
            step.needs = {need for need in step.needs if need in self.steps and need != key}
        stage = self._stages()
        parts: dict[int, list[Operation]] = {EARLY: [], MEMBERS: [], LATE: []}
        pending = dict(self.actions)
        for key in self._sorted(stage):
            step = self.steps[key]
            shown = (*pending.pop(step.subject, ()), *self.fixed.get(key, ()))
            operation = replace(step.operation, shown=shown) if shown else step.operation
            parts[min(stage[key], LATE)].append(operation)
        return tuple(tuple(part) for part in parts.values())

    def _stages(self) -> dict[Key, int]:
        """Each step's stage: its own, or the earliest of those that need it."""
        stage = {key: EARLY if key in self.hastened else STAGES[key[0]] for key in self.steps}
        for goal in (EARLY, MEMBERS, LATE):
            waiting = [key for key, own in stage.items() if own == goal]
            while waiting:
                for need in self.steps[waiting.pop()].needs:
                    if stage[need] > goal:
                        stage[need] = goal
                        waiting.append(need)
        return stage

    def _sorted(self, stage: dict[Key, int]) -> list[Key]:
        """All keys, each after its needs, else by stage, rank and order of adding."""
        place = {key: (stage[key], RANKS[key[0]], at) for at, key in enumerate(self.steps)}
        missing = {key: len(step.needs) for key, step in self.steps.items()}
        followers: dict[Key, list[Key]] = {key: [] for key in self.steps}
        for key, step in self.steps.items():
            for need in step.needs:
                followers[need].append(key)
        ready = [(place[key], key) for key, count in missing.items() if not count]
        heapq.heapify(ready)
        result: list[Key] = []
        while len(result) < len(place):
            if ready:
                _, key = heapq.heappop(ready)
            else:  # two wait for each other: the kernel decides, and says so if it minds
                key = min((one for one in place if missing[one] > 0), key=place.__getitem__)
                missing[key] = 0
            result.append(key)
            for follower in followers[key]:
                missing[follower] -= 1
                if not missing[follower]:
                    heapq.heappush(ready, (place[follower], follower))
        return result
