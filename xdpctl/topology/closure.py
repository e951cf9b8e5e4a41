"""The policies that a policy leads to by `policy: NAME`."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.model import Policy


def closure(policy: Policy) -> tuple[Policy, ...]:
    """The policy and all that it can go on in, each once and before those it leads to."""
    done: list[Policy] = []
    seen: set[int] = set()

    def visit(one: Policy) -> None:
        # Depth first, by hand: chains of policies may be longer than Python's stack.
        waiting = [(one, _targets(one))]
        seen.add(id(one))
        while waiting:
            current, targets = waiting[-1]
            for target in targets:
                if id(target) not in seen:
                    seen.add(id(target))
                    waiting.append((target, _targets(target)))
                    break
            else:
                done.append(current)
                waiting.pop()

    visit(policy)
    return tuple(reversed(done))


def _targets(policy: Policy) -> Iterator[Policy]:
    return iter([rule.into for rule in policy.rules if rule.into is not None])
