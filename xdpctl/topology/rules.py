"""A policy of the file to a `Policy`; names of other policies are resolved when all are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from xdpctl.errors import Problem
from xdpctl.topology import leaf, spec
from xdpctl.topology.conditions import Reader, Sets
from xdpctl.topology.draft import locate
from xdpctl.topology.model import Location, Policy, Rule
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.tree import Mapping as MappingNode
from xdpctl.topology.tree import Node, Scalar, Sequence

_RESERVED = ("default", "malformed")


@dataclass(frozen=True, slots=True)
class PolicyNode:
    """A policy as its file has it."""

    file: str
    key: Scalar
    node: Node

    @property
    def location(self) -> Location:
        """Where its name stands."""
        return Location(self.file, self.key.line, self.key.column)

    def at_rule(self, index: int, *path: str) -> Location:
        """Where something of the rule of this index (from 0) stands."""
        return locate(self.file, self.key, self.node, ("rules", index, *path))


def policy(source: PolicyNode, sets: Sets, problems: list[Problem]) -> Policy | None:
    """The policy; None if its shape is wrong. Other problems are added as well."""
    here, file, node = source.location, source.file, source.node
    try:
        leaf.POLICY_NAME.parse(source.key.value)
    except ValueError as error:
        problems.append(problem(here, f"a policy's name {error}"))
    known = tuple(spec.PolicySpec.model_fields)
    place = Place(file, source.key, node, source.key.text, known)
    found = validated(spec.policy_adapter(), place, problems)
    nodes = _rule_nodes(node)
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
    return Policy(str(source.key.value), found.default, tuple(rules), here)


def linked(
    found: Mapping[str, Policy], nodes: Mapping[str, PolicyNode], problems: list[Problem]
) -> dict[str, Policy]:
    """The policies with each rule of `policy: NAME` knowing the one that it goes on in.

    `nodes` are all policies that are named, also those that are wrong themselves.
    """
    whole: dict[str, Policy] = {}
    told: set[str] = set()

    def link(name: str, way: tuple[str, ...]) -> Policy | None:
        if name in whole or name not in found:
            return whole.get(name)
        rules: list[Rule] = []
        for index, rule in enumerate(found[name].rules):
            if rule.action != "policy":
                rules.append(rule)
                continue
            message, target = "", rule.target
            if target not in nodes:
                message = f"policy: unknown policy {target!r}{leaf.guess(target, tuple(nodes))}"
            elif target in (*way, name):
                round_ = (*way, name)[(*way, name).index(target) :]
                message = f"policy: goes in a circle: {' -> '.join((*round_, target))}"
            if message:
                if name not in told:
                    problems.append(problem(nodes[name].at_rule(index, "action"), message))
                continue
            rules.append(replace(rule, into=link(target, (*way, name))))
        told.add(name)
        whole[name] = replace(found[name], rules=tuple(rules))
        return whole[name]

    for name in found:
        link(name, ())
    return {name: whole[name] for name in found}


def _rule_nodes(node: Node) -> list[Node]:
    rules = node.get("rules") if isinstance(node, MappingNode) else None
    return rules.items if isinstance(rules, Sequence) else []


def _check_names(file: str, rules: list[Node], problems: list[Problem]) -> None:
    """A rule is called by its name or its number: no name may stand for two rules."""
    first: dict[str, int] = {}
    for number, rule, node in _named(rules):
        name, message = rule, ""
        if name in _RESERVED:
            message = f"{name!r} is what a counter of every policy is called"
        elif name != str(number) and name.isdecimal() and 1 <= int(name) <= len(rules):
            message = f"rule {number} is called by the number of another, {name}"
        elif name in first:
            message = f"rule {name!r} is here twice (first as rule {first[name]})"
        if message:
            problems.append(Problem(file, node.line, node.column, message))
        first.setdefault(name, number)


def _named(rules: list[Node]) -> Iterator[tuple[int, str, Scalar]]:
    for number, rule in enumerate(rules, 1):
        node = rule.get("name") if isinstance(rule, MappingNode) else None
        if isinstance(node, Scalar) and isinstance(node.value, str):
            yield number, node.value, node
