"""A policy of the file to a `Policy`: names, values, negation, and what can never hold."""

from __future__ import annotations

from xdpctl.errors import Problem
from xdpctl.topology import leaf, spec
from xdpctl.topology.key_forms import Span, Spans
from xdpctl.topology.keys import KEYS, Key, exclude
from xdpctl.topology.model import Condition, Location, Policy, Rule
from xdpctl.topology.shape import Place, problem, validated
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence, plain

_RESERVED = ("default", "malformed")


def policy(file: str, key: Scalar, node: Node, problems: list[Problem]) -> Policy | None:
    """The policy under `key`; None if its shape is wrong. Other problems are added as well."""
    here = Location(file, key.line, key.column)
    try:
        leaf.POLICY_NAME.parse(key.value)
    except ValueError as error:
        problems.append(problem(here, f"a policy's name {error}"))
    known = tuple(spec.PolicySpec.model_fields)
    found = validated(spec.policy_adapter(), Place(file, key, node, key.text, known), problems)
    nodes = _rule_nodes(node)
    matches = [_conditions(file, rule, problems) for rule in nodes]
    _check_names(file, nodes, problems)
    if found is None:
        return None
    specs = found.rules or []
    rules = [
        Rule(
            rule.name or str(number),
            conditions,
            rule.action,
            Location(file, rule_node.line, rule_node.column),
        )
        for number, (rule, rule_node, conditions) in enumerate(
            zip(specs, nodes, matches, strict=True), 1
        )
    ]
    return Policy(str(key.value), found.default, tuple(rules), here)


def _rule_nodes(node: Node) -> list[Node]:
    rules = node.get("rules") if isinstance(node, Mapping) else None
    return rules.items if isinstance(rules, Sequence) else []


def _check_names(file: str, rules: list[Node], problems: list[Problem]) -> None:
    """A rule is called by its name or its number: no name may stand for two rules."""
    first: dict[str, int] = {}
    numbers = {str(number) for number in range(1, len(rules) + 1)}
    for number, rule in enumerate(rules, 1):
        node = rule.get("name") if isinstance(rule, Mapping) else None
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            continue
        name, message = node.value, ""
        if name in _RESERVED:
            message = f"{name!r} is what a counter of every policy is called"
        elif name in numbers and name != str(number):
            message = f"rule {number} is called by the number of another, {name}"
        elif name in first:
            message = f"rule {name!r} is here twice (first as rule {first[name]})"
        if message:
            problems.append(Problem(file, node.line, node.column, message))
        first.setdefault(name, number)


def _conditions(file: str, rule: Node, problems: list[Problem]) -> tuple[Condition, ...]:
    """The conditions of a rule's `match`."""
    match = rule.get("match") if isinstance(rule, Mapping) else None
    if not isinstance(match, Mapping):
        return ()
    conditions: list[Condition] = []
    for name, (key_node, value) in match.entries.items():
        key = KEYS.get(name)
        if key is None:
            message = f"unknown match key {name!r}{leaf.guess(name, tuple(KEYS))}"
            where = Location(file, key_node.line, key_node.column)
            problems.append(problem(where, message))
        else:
            condition = _condition(file, key, value, problems)
            if condition is not None:
                conditions.append(condition)
                problems += _conflict(file, key, key_node, match)
    return tuple(conditions)


def _conflict(file: str, key: Key, node: Scalar, match: Mapping) -> list[Problem]:
    """The first other key before this one that no frame can meet together with it."""
    for name in match.entries:
        other = KEYS.get(name)
        if other is key:
            break
        if other is not None and exclude(other, key):
            where = Location(file, node.line, node.column)
            return [problem(where, f"no frame has both {other.name} and {key.name}")]
    return []


def _condition(file: str, key: Key, node: Node, problems: list[Problem]) -> Condition | None:
    """One key's values, all of them plain or all negated."""
    items = node.items if isinstance(node, Sequence) else [node]
    here = Location(file, node.line, node.column)
    if not items:
        problems.append(problem(here, f"{key.name} has an empty list: nothing would match"))
        return None
    if isinstance(node, Sequence) and not key.form.several:
        problems.append(problem(here, f"{key.name} takes one value, not a list"))
        return None
    spans: list[Span] = []
    negations: set[bool] = set()
    before = len(problems)
    for item in items:
        where = Location(file, item.line, item.column)
        try:
            negated, found = _value(key, item)
        except ValueError as error:
            problems.append(problem(where, f"{key.name} {error}"))
            continue
        spans += found
        negations.add(negated)
        if len(negations) > 1:
            problems.append(problem(where, f"{key.name}: either all values of a list start with "
                                           "! or none"))  # fmt: skip
            return None
    if len(problems) > before:
        return None
    return key.condition(spans, negated=negations == {True})


def _value(key: Key, node: Node) -> tuple[bool, Spans]:
    raw = node.value if isinstance(node, Scalar) else plain(node)
    if isinstance(raw, str) and raw.lstrip().startswith("!"):
        return True, key.parse(raw.lstrip()[1:])
    return False, key.parse(raw)
