"""A match that is written on the command line, in the grammar of a rule's match."""

from __future__ import annotations

from xdpctl.errors import Problem, TopologyError
from xdpctl.topology.conditions import Reader, Sets
from xdpctl.topology.model import Condition
from xdpctl.topology.parse import parse
from xdpctl.topology.tree import Mapping

_FILE = "--match"


def conditions(text: str) -> tuple[Condition, ...]:
    """`tcp.dport: 443, ip4.saddr: 192.0.2.0/24`, with braces or without; raises TopologyError."""
    inner = text.strip()
    inner = inner if inner.startswith("{") else f"{{{inner}}}"
    problems: list[Problem] = []
    node = parse(f"match: {inner}\n", _FILE, problems)
    found: tuple[Condition, ...] = ()
    if node is not None and not problems:
        match = node.get("match") if isinstance(node, Mapping) else None
        if isinstance(match, Mapping):
            found = Reader(_FILE, Sets({}), problems).match(node)
        else:
            problems.append(Problem(_FILE, 1, 1, "a match is like tcp.dport: 443"))
    if problems:
        raise TopologyError(problems)
    return found
