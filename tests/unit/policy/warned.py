"""Topologies of one policy for the tests of what `validate` warns of."""

from __future__ import annotations

from xdpctl.policy.advice import warnings
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

HEAD = """\
version: 1
name: t
devices:
  eth0: {kind: physical, xdp: {policy: p}}
  eth1: {kind: physical}
sets:
  a: {type: ip4, entries: [10.0.0.0/8]}
  b: {type: ip4, entries: []}
  c: {type: port, entries: [80]}
  d: {type: [ip4.saddr, tcp.dport], entries: [[10.0.0.1, 80]]}
policies:
  used: {rules: [{match: {ip4.saddr: "@a", ip4.daddr: "@b"}, action: count},
                 {match: {tcp.dport: "@c", set: "@d"}, action: count}]}
  p:
"""


def topology(text: str) -> Topology:
    return load_texts({"t.yaml": text})


def told(found: Topology) -> list[str]:
    return [one.message for one in warnings(found)]


def with_rules(rules: str, default: str = "pass") -> Topology:
    """Policy p with these rules, one a line; all sets are used by another policy."""
    lines = [f"      - {{{line.strip()}}}" for line in rules.strip().splitlines()]
    text = "\n".join([f"    default: {default}", "    rules:", *lines, ""])
    return topology(HEAD + text)


UNUSED = "policy used is used by no device"


def of_rules(rules: str, default: str = "pass") -> list[str]:
    """The warnings, less that of the policy that only uses the sets."""
    found = told(with_rules(rules, default))
    assert UNUSED in found
    return [message for message in found if message != UNUSED]
