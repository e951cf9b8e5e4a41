"""The devices that policies name: where frames are redirected to, and ports they come in by."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.errors import Problem
from xdpctl.topology.checks.stack import Stack
from xdpctl.topology.model import Rule
from xdpctl.topology.read import Book
from xdpctl.topology.rules import PolicyNode
from xdpctl.topology.shape import problem

TARGETS = ("physical", "veth", "tap", "bond")
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


def _rule(stack: Stack, source: PolicyNode, index: int, rule: Rule) -> Iterator[Problem]:
    if rule.action == "redirect":
        message = _unknown(stack, rule.target) or _not_a_target(stack, rule.target)
        if message:
            yield problem(source.at_rule(index, "action", "redirect"), f"redirect: {message}")
    for condition in rule.conditions:
        for port in condition.devices:
            message = _unknown(stack, port) or _not_a_port(stack, port)
            if message:
                yield problem(source.at_rule(index, "match", "meta.port"), f"meta.port: {message}")


def _unknown(stack: Stack, name: str) -> str:
    if stack.known(name):
        return ""
    return f"unknown device {name!r}{stack.hint(name, [*stack.entries, *stack.broken])}"


def _not_a_target(stack: Stack, name: str) -> str:
    entry = stack.entries.get(name)
    if entry is None or entry.device.kind in TARGETS:
        return ""
    kind = entry.device.kind
    return (
        f"{name} is a {kind}, which takes no frames from XDP (it has no ndo_xdp_xmit): "
        f"redirect to a {', '.join(TARGETS[1:-1])}, {TARGETS[-1]} or {TARGETS[0]} device"
    )


def _not_a_port(stack: Stack, name: str) -> str:
    entry = stack.entries.get(name)
    if entry is None:
        return ""
    device = entry.device
    if device.parent is not None:
        return f"{name} stands on {device.parent}: a port is what frames come in by from outside"
    if device.ports:
        return f"frames come in by the ports of {name}: {', '.join(device.ports)}"
    return ""
