"""Names of other devices and of policies must be names of something in the files."""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.codecs import nearest


def check(stack: Stack) -> Iterator[Finding]:
    """Unknown parents, ports, policies."""
    for entry in stack:
        device = entry.device
        if device.parent is not None and not _known(stack, device.parent):
            yield entry, ("parent",), _unknown(stack, "parent", device.parent)
        for port in device.ports:
            if not _known(stack, port):
                yield entry, ("ports", port), _unknown(stack, "port", port)
        policy = device.xdp.policy if device.xdp else None
        if policy is not None and policy not in stack.policies:
            hint = nearest(policy, stack.policies)
            yield entry, ("xdp", "policy"), f"unknown policy {policy!r}{hint}"


def _known(stack: Stack, name: str) -> bool:
    return name in stack.entries or name in stack.broken


def _unknown(stack: Stack, what: str, name: str) -> str:
    return f"unknown {what} {name!r}{nearest(name, stack.entries)}"
