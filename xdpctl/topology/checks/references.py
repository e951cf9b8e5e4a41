"""Names of other devices and of policies must be names of something in the files."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry
from xdpctl.topology.model import Location


def check(stack: Stack) -> Iterator[Finding]:
    """Unknown parents, ports, policies."""
    for entry in stack:
        device = entry.device
        if device.parent is not None and not stack.known(device.parent):
            yield entry, ("parent",), _unknown(stack, "parent", device.parent)
        for port in _first_unknown(stack, entry):
            yield entry, ("ports", port), _unknown(stack, "port", port)
        policy = device.xdp.policy if device.xdp else None
        if policy is not None and stack.complete and policy not in stack.policies:
            hint = stack.hint(policy, sorted(stack.policies))
            yield entry, ("xdp", "policy"), f"unknown policy {policy!r}{hint}"


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
