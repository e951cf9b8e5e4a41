"""An example for each action and each type of set: docs/policies.md shows it, a test runs it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.policies.examples import ASK, DNS, DNS6, PING, WEB
from xdpctl.topology.model import Action, Outcome, SetType

SETUP = """\
version: 1
name: t
devices:
  eth0: {{kind: physical}}
  tap0: {{kind: tap}}
"""


@dataclass(frozen=True)
class ActionExample:
    """An action as it is written, what it does in words, and what becomes of a frame that matches
    (None: what the default says).
    """

    value: str
    does: str
    then: Outcome | None


ACTIONS: dict[Action, ActionExample] = {
    "pass": ActionExample("pass", "ends: the frame goes on to the next stage, or to the stack",
                          "pass"),
    "drop": ActionExample("drop", "ends: the frame is dropped", "drop"),
    "tx": ActionExample("tx", "ends: sends the frame back out by the device that it came in by",
                        "tx"),
    "redirect": ActionExample("{redirect: tap0}", "ends: sends the frame out by another device of "
                              "the file: tap, veth, bond or physical", "redirect"),
    "userspace": ActionExample("{userspace: capture}", "ends: hands the frame to the AF_XDP socket "
                               "in the pinned map `userspace-capture@ROOT`, by receive queue; "
                               "without one it is dropped", "redirect"),
    "limit": ActionExample("{limit: 100/second, burst: 20}", "ends: passes what is within the rate "
                           "and drops what is over it, for each device by itself", "pass"),
    "policy": ActionExample("{policy: other}", "goes on in another policy, whose rules and default "
                            "decide", "drop"),
    "count": ActionExample("count", "counts, and goes on with the next rule", None),
    "log": ActionExample("log", "counts, shows samples to `xdpctl trace NAME --live`, and goes on "
                         "with the next rule", None),
}  # fmt: skip

ACTION_FILE = (
    SETUP
    + """\
policies:
  p:
    default: {default}
    rules:
      - {{match: {{udp.dport: 53}}, action: {value}}}
  other: {{default: drop}}
"""
)
MATCHED, NOT_MATCHED = DNS, WEB


@dataclass(frozen=True)
class SetExample:
    """A set's type and entries, a key that it goes with, a frame that it holds on, and another."""

    type: str
    entries: str
    match: str
    on: str
    frame: bytes
    not_on: str
    other: bytes


SETS: dict[SetType, SetExample] = {
    "ip4": SetExample("ip4", "[192.0.2.0/24, 198.51.100.7, 10.0.0.5-10.0.0.9]",
                      'ip4.saddr: "@some"', "a packet from 192.0.2.1", WEB,
                      "an ARP packet: it has no such key", ASK),
    "ip6": SetExample("ip6", '["2001:db8::/32", "fe80::1"]', 'ip6.saddr: "@some"',
                      "a packet from 2001:db8::1", DNS6, "a packet of IPv4", DNS),
    "ether": SetExample("ether", '["02:00:00:00:00:01", "00:50:56:00:00:00/24"]',
                        'ether.daddr: "@some"', "a frame to 02:00:00:00:00:01", WEB,
                        "a frame to another", DNS[:5] + b"\x09" + DNS[6:]),
    "port": SetExample("port", "[domain, 443, 8000-8100]", 'meta.dport: "@some"',
                       "UDP to port 53", DNS, "a ping: it has no port", PING),
    "composite": SetExample("[ip4.saddr, tcp.dport]", '[[192.0.2.0/24, 443], "10.0.0.1 22"]',
                            'set: "@some"', "TCP from 192.0.2.1 to port 443", WEB,
                            "UDP from there to port 53", DNS),
}  # fmt: skip

SET_FILE = (
    SETUP
    + """\
sets:
  some: {{type: {type}, entries: {entries}}}
policies:
  p:
    default: drop
    rules:
      - {{match: {{{match}}}, action: pass}}
"""
)
