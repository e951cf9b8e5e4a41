"""The devices that policies name: where frames are redirected to, and ports they come in by.

Tests that expect a packet to be redirected name them as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from xdpctl.errors import Problem
from xdpctl.topology.checks.stack import Stack
from xdpctl.topology.kinds import KINDS
from xdpctl.topology.model import Location, Rule
from xdpctl.topology.read import Book
from xdpctl.topology.rule_nodes import PolicyNode
from xdpctl.topology.shape import problem
from xdpctl.topology.tree import Scalar, Sequence

TARGETS = ("veth", "tap", "bond", "physical")
"""Kinds with ndo_xdp_xmit, which takes frames that XDP redirects. A macvlan accepts the entry of a
devmap and then drops every frame."""


def check(stack: Stack, book: Book) -> Iterator[Problem]:
    """Unknown devices, and devices that cannot be what they are named as."""
    if not stack.complete:
        return
    for name, policy in book.policies.items():
        source = book.policy_nodes[name]
        for index, rule in enumerate(policy.rules):
            yield from _rule(stack, source, index, rule)
    yield from _expected(stack, book)


def _rule(stack: Stack, source: PolicyNode, index: int, rule: Rule) -> Iterator[Problem]:
    if rule.action == "redirect":
        message = _unknown(stack, rule.target) or _not_a_target(stack, rule.target)
        if message:
            yield problem(source.at_rule(index, "action", "redirect"), f"redirect: {message}")
    for condition in rule.conditions:
        places = _places(source, index) if condition.devices else {}
        for port in condition.devices:
            message = _unknown(stack, port) or _not_a_port(stack, port)
            if message:
                place = places.get(port) or source.at_rule(index, "match", "meta.port")
                yield problem(place, f"meta.port: {message}")


def _places(source: PolicyNode, index: int) -> dict[str, Location]:
    """Where each port stands, if it does in a list."""
    value = source.rule_node(index, "match", "meta.port")
    items = value.items if isinstance(value, Sequence) else []
    return {
        item.text.strip().removeprefix("!").strip(): Location(source.file, item.line, item.column)
        for item in items
        if isinstance(item, Scalar)
    }


def _expected(stack: Stack, book: Book) -> Iterator[Problem]:
    """`expect: {redirect: …}` of tests: a device, or what `userspace` is called."""
    rules = [rule for policy in book.policies.values() for rule in policy.rules]
    sockets = {rule.target: None for rule in rules if rule.action == "userspace"}
    is_whole = book.policies.keys() == book.policy_nodes.keys()  # else one may be in a wrong policy
    for case in book.cases:
        name, verdict = case.expect.get("redirect"), case.expect.get("verdict", "redirect")
        place = case.at("expect", "redirect")
        if name is not None and verdict != "redirect":
            message = f"redirect: the verdict {verdict} sends no packet elsewhere"
            yield problem(place, message)
        elif is_whole and name is not None and name not in sockets and not stack.known(name):
            hint = stack.hint(name, chain(stack.entries, stack.broken, sockets))
            yield problem(place, f"redirect: unknown device or userspace {name!r}{hint}")


def _unknown(stack: Stack, name: str) -> str:
    if stack.known(name):
        return ""
    veth = stack.peers.get(name)
    if veth is not None:
        return (
            f"{name} is the other end of {veth}: list it as a device of its own "
            f"({name}: {{kind: veth, peer: {veth}}})"
        )
    return f"unknown device {name!r}{stack.hint(name, chain(stack.entries, stack.broken))}"


def _not_a_target(stack: Stack, name: str) -> str:
    entry = stack.entries.get(name)
    if entry is None:
        return ""
    if entry.device.netns:
        return f"{name} is in network namespace {entry.device.netns}, where XDP sends no frames"
    if entry.device.kind in TARGETS:
        return ""
    kind = entry.device.kind
    return (
        f"{name} is a {kind}, which takes no frames from XDP (it has no ndo_xdp_xmit): "
        f"redirect to a {', '.join(TARGETS[:-1])} or {TARGETS[-1]} device"
    )


def _not_a_port(stack: Stack, name: str) -> str:
    entry = stack.entries.get(name)
    if entry is None:
        return ""
    device = entry.device
    if device.parent is not None:
        return f"{name} stands on {device.parent}: a port is what frames come in by from outside"
    if KINDS[device.kind].has_ports:
        ports = f" ({', '.join(device.ports)})" if device.ports else ""
        return f"{name} is a {device.kind}, and frames come in by its ports{ports}"
    return ""
