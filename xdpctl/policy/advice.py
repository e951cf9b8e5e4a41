"""What a good colleague would say of a topology that is valid: one sentence and, if known, the fix.

Nothing here is an error: rules that never match, what is cut off unawares, what nobody uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from xdpctl.errors import Problem
from xdpctl.policy.cutoff import Cut, cut_off
from xdpctl.policy.idle import called, idle_rules
from xdpctl.policy.regions import Claims
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Device, Location, Policy, Topology

MOST_RULES: Final = 100_000
"""Rules of used policies and of those they lead to; policies beyond are not asked what they cut
off."""


@dataclass(frozen=True, slots=True, order=True)
class Advice(Problem):
    """A problem that is no error. `fix`: lines to add, which the message ends with as well."""

    fix: str = ""


def warnings(topology: Topology) -> list[Advice]:
    """All that there is to say, in the order of the files."""
    users, claims = _users(topology), Claims()
    found = [*_idle(topology, claims), *_cut_off(topology, claims), *_unused(topology, users)]
    for policy in topology.policies.values():
        found += _misplaced(topology, policy, users.get(policy.name, []))
    return sorted(found)


def _advice(where: Location, message: str, fix: str = "") -> Advice:
    return Advice(where.file, where.line, where.column, message, fix)


def _users(topology: Topology) -> dict[str, list[Device]]:
    """Policy → the devices whose frames may meet it."""
    first: dict[str, list[Device]] = {}
    for device in topology.devices.values():
        for name in (device.xdp.policy, device.xdp.egress) if device.xdp is not None else ():
            if name is not None:
                first.setdefault(name, []).append(device)
    users: dict[str, list[Device]] = {}
    for name, devices in first.items():
        for policy in closure(topology.policies[name]):
            users.setdefault(policy.name, []).extend(devices)
    return users


def _idle(topology: Topology, claims: Claims) -> Iterator[Advice]:
    for policy in topology.policies.values():
        for one in idle_rules(policy, claims):
            rule = policy.rules[one.index]
            name = f"rule {called(one.index, rule)} of policy {policy.name}"
            yield _advice(rule.location, f"{name} never matches: {one.why}")


def _cut_off(topology: Topology, claims: Claims) -> Iterator[Advice]:
    left = MOST_RULES
    named = {device.xdp.policy for device in topology.devices.values() if device.xdp is not None}
    for policy in topology.policies.values():
        if policy.name in named and policy.object is None:
            left -= sum(len(one.rules) for one in closure(policy))
            for one in cut_off(policy, claims) if left >= 0 else ():
                yield _missing(policy, one)


def _missing(policy: Policy, one: Cut) -> Advice:
    lines = [
        f"- {{name: {_free(name, policy)}, match: {{{match}}}, action: pass}}"
        for name, match in one.need.rules
    ]
    where = f" before rule {one.at + 1}" if one.at < len(policy.rules) else ""
    message = f"policy {policy.name} passes {one.need.text}: add{where} {' and '.join(lines)}"
    return _advice(policy.location, message, "\n".join(lines))


def _free(name: str, policy: Policy) -> str:
    """A name that no rule of the policy has."""
    taken = {rule.name for rule in policy.rules}
    numbers = range(2, len(taken) + 3)
    return next(one for one in (name, *(f"{name} {n}" for n in numbers)) if one not in taken)


def _unused(topology: Topology, users: dict[str, list[Device]]) -> Iterator[Advice]:
    for policy in topology.policies.values():
        if policy.name not in users:
            yield _advice(policy.location, f"policy {policy.name} is used by no device")
    used = {
        found.name
        for policy in topology.policies.values()
        for rule in policy.rules
        for condition in rule.conditions
        for found in condition.sets
    }
    for name, one in topology.sets.items():
        if name not in used:
            yield _advice(one.location, f"set {name} is used by no rule")


def _misplaced(topology: Topology, policy: Policy, users: list[Device]) -> Iterator[Advice]:
    """Ports that no user's frames come in by, and users that are redirected to themselves."""
    names = {user.name for user in users}
    below: set[str] | None = None
    for index, rule in enumerate(policy.rules if users else ()):
        name = f"rule {called(index, rule)} of policy {policy.name}"
        ports = {port for condition in rule.conditions for port in condition.devices}
        if ports and below is None:
            below = {port for user in users for port in _below(topology, user)}
        for port in sorted(ports - (below or set())):
            message = f"{name}: no frame for its devices comes in by {port}"
            yield _advice(rule.location, message)
        if rule.action == "redirect" and rule.target in names:
            message = f"{name} sends the frames of {rule.target} back to itself: write action: tx"
            yield _advice(rule.location, message)


def _below(topology: Topology, device: Device) -> set[str]:
    """The device and all that its frames may come through."""
    found: set[str] = set()
    waiting = [device.name]
    while waiting:
        name = waiting.pop()
        if name in found or name not in topology.devices:
            continue
        found.add(name)
        one = topology.devices[name]
        waiting += [*one.ports, *([one.parent] if one.parent else [])]
    return found
