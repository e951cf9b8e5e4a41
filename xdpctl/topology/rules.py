"""A policy of the file to a `Policy`; names of other policies are resolved when all are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from xdpctl.errors import Problem
from xdpctl.topology import leaf, spec
from xdpctl.topology.conditions import Reader, Sets
from xdpctl.topology.model import Location, Policy, Rule, Verdict
from xdpctl.topology.objects import user_program
from xdpctl.topology.rule_nodes import PolicyNode, rule_nodes
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.tree import Mapping as MappingNode
from xdpctl.topology.tree import Node, Scalar

_RESERVED = ("default", "malformed")
_MOST_IN_CIRCLE = 8
"""Policies of a circle that are all told."""


def policy(
    source: PolicyNode, sets: Sets, files: dict[str, str], problems: list[Problem]
) -> Policy | None:
    """The policy; None if its shape is wrong. Other problems are added as well.

    `files` gets the digest of its object, if it has one.
    """
    here, file, node = source.location, source.file, source.node
    try:
        leaf.POLICY_NAME.parse(source.key.value)
    except ValueError as error:
        problems.append(problem(here, f"a policy's name {error}"))
    known = tuple(spec.PolicySpec.model_fields)
    place = Place(file, source.key, node, source.key.text, known)
    found = validated(spec.policy_adapter(), place, problems)
    nodes = rule_nodes(node)
    reader = Reader(file, sets, problems)
    matches = [reader.match(rule) for rule in nodes]
    _check_names(file, nodes, problems)
    if found is None:
        return None
    specs = found.rules or []
    rules = [
        Rule(
            rule.name or str(number),
            conditions,
            rule.action.action,
            Location(file, rule_node.line, rule_node.column),
            rule.action.target,
            rule.action.rate,
        )
        for number, (rule, rule_node, conditions) in enumerate(
            zip(specs, nodes, matches, strict=True), 1
        )
    ]
    program = user_program(source, found, files, problems)
    default: Verdict = found.default or ("pass" if program is None else "drop")
    return Policy(str(source.key.value), default, tuple(rules), here, program)


def linked(
    found: Mapping[str, Policy],
    nodes: Mapping[str, PolicyNode],
    problems: list[Problem],
    *,
    complete: bool = True,
) -> dict[str, Policy]:
    """The policies with each rule of `policy: NAME` knowing the one that it goes on in.

    `nodes` are all policies that are named, also those that are wrong themselves. `complete`:
    one that is not among them is unknown.
    """
    whole: dict[str, Policy] = {}
    hints = leaf.Hints(nodes)
    for first in found:
        # Depth first, by hand: chains of policies may be longer than Python's stack.
        way = [] if first in whole else [first]
        waiting = [_targets(found[name]) for name in way]
        depth = dict.fromkeys(way, 0)
        while waiting:
            name, message = way[-1], ""
            index, target = next(waiting[-1], (0, ""))
            if not target:
                whole[name] = _link(found[name], whole)
                del depth[way.pop()]
                waiting.pop()
            elif target in found and found[target].object is not None:
                message = (
                    f"policy {target} is a program of a user's, in which no rule goes on: "
                    "give it to a device"
                )
            elif target in depth:
                message = f"policy goes in a circle: {_circle(way, depth[target])}"
            elif target in found and target not in whole:
                depth[target] = len(way)
                way.append(target)
                waiting.append(_targets(found[target]))
            elif target not in nodes and complete:
                message = f"unknown policy {target!r}{hints.near(target)}"
            if message:
                place = nodes[name].at_rule(index, "action", "policy")
                problems.append(problem(place, message))
    return {name: whole[name] for name in found}


def _targets(policy: Policy) -> Iterator[tuple[int, str]]:
    return iter(
        [(index, rule.target) for index, rule in enumerate(policy.rules) if rule.action == "policy"]
    )


def _circle(way: Sequence[str], start: int) -> str:
    """The circle from there on; of a long one both ends."""
    long = len(way) - start > _MOST_IN_CIRCLE
    names = [*way[start : start + 3], "…", way[-1]] if long else [*way[start:]]
    return " -> ".join([*names, way[start]])


def _link(policy: Policy, whole: Mapping[str, Policy]) -> Policy:
    rules = tuple(
        replace(rule, into=whole.get(rule.target)) if rule.action == "policy" else rule
        for rule in policy.rules
    )
    return replace(policy, rules=rules)


def _check_names(file: str, rules: list[Node], problems: list[Problem]) -> None:
    """A rule is called by its name or its number: no name may stand for two rules."""
    first: dict[str, int] = {}
    numbers = {str(number) for number in range(1, len(rules) + 1)}
    for number, rule, node in _named(rules):
        name, message = rule, ""
        if name in _RESERVED:
            message = f"{name!r} is what a counter of every policy is called"
        elif name != str(number) and name in numbers:
            message = f"rule {number} is called by the number of another, {name}"
        elif name in first:
            message = f"rule {name!r} is here twice (first as rule {first[name]})"
        if message:
            problems.append(Problem(file, node.line, node.column, message))
        first.setdefault(name, number)


def _named(rules: list[Node]) -> Iterator[tuple[int, str, Scalar]]:
    for number, rule in enumerate(rules, 1):
        node = rule.get("name") if isinstance(rule, MappingNode) else None
        if isinstance(node, Scalar) and isinstance(node.value, str | int):
            yield number, str(node.value), node
