"""Names of other devices and of policies must be names of something in the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeGuard

from xdpctl.errors import Problem
from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry
from xdpctl.topology.model import Location
from xdpctl.topology.tree import Mapping, Node, Scalar


def check(stack: Stack) -> Iterator[Finding]:
    """Unknown parents, ports, policies."""
    for entry in stack:
        device = entry.device
        if device.parent is not None and not stack.known(device.parent):
            yield entry, ("parent",), _unknown(stack, "parent", device.parent)
        for port in _first_unknown(stack, entry):
            yield entry, ("ports", port), _unknown(stack, "port", port)
        for key in ("policy", "egress") if device.xdp else ():
            policy = getattr(device.xdp, key)
            if policy is not None and stack.complete and policy not in stack.policies:
                yield entry, ("xdp", key), _unknown_policy(stack, policy)


def check_wrecks(stack: Stack, wrecks: Iterable[tuple[str, Mapping]]) -> Iterator[Problem]:
    """The same for devices of the wrong shape, so that one run tells all that is wrong."""
    for file, node in wrecks:
        xdp = node.get("xdp")
        parent, policy = node.get("parent"), xdp.get("policy") if isinstance(xdp, Mapping) else None
        if _is_name(parent) and "[" not in parent.text and not stack.known(parent.text):
            message = _unknown(stack, "parent", parent.text)
            yield Problem(file, parent.line, parent.column, message)
        if _is_name(policy) and stack.complete and policy.text not in stack.policies:
            message = _unknown_policy(stack, policy.text)
            yield Problem(file, policy.line, policy.column, message)


def _is_name(node: Node | None) -> TypeGuard[Scalar]:
    return isinstance(node, Scalar) and isinstance(node.value, str)


def _unknown_policy(stack: Stack, policy: str) -> str:
    return f"unknown policy {policy!r}{stack.hint(policy, sorted(stack.policies))}"


def _first_unknown(stack: Stack, entry: Entry) -> Iterator[str]:
    """The unknown ports, of a range (`eth[1-9]`) the first."""
    told: set[Location] = set()
    for port in entry.device.ports:
        place = entry.at("ports", port)
        if not stack.known(port) and place not in told:
            told.add(place)
            yield port


def _unknown(stack: Stack, what: str, name: str) -> str:
    veth = stack.peers.get(name)
    if veth is not None:
        return (
            f"{what} {name!r} is the other end of {veth}: list it as a device of its own "
            f"({name}: {{kind: veth, peer: {veth}}})"
        )
    return f"unknown {what} {name!r}{stack.hint(name, [*stack.entries, *stack.broken])}"
