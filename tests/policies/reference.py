"""The reference of the policy language, made from its tables: docs/policies.md.

`python -m tests.policies.reference > docs/policies.md` writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.policies.action_examples import ACTIONS, SETS
from tests.policies.examples import EXAMPLES
from tests.policies.reference_text import HEAD, LIMITS, PROGRAMS, SET_HEAD
from xdpctl.topology import key_names as names
from xdpctl.topology.keys import KEYS, Key
from xdpctl.topology.set_types import COMPOSABLE, MEMBERS, MOST_KEYS

FAMILIES = {
    "ether": "Ethernet",
    "vlan": "VLAN tags",
    "meta": "Any protocol",
    "ip4": "IPv4",
    "ip6": "IPv6",
    "tcp": "TCP",
    "udp": "UDP",
    "sctp": "SCTP",
    "icmp": "ICMP",
    "icmpv6": "ICMPv6",
    "arp": "ARP",
}

NOTES = {
    "ether": "`multicast` is any address with the group bit, broadcast among them.",
    "vlan": "A frame has at most two tags (0x8100 or 0x88a8). Without a tag only `none` holds, so "
    '`"!7"` is any *other* VLAN; write `[none, …]` to let untagged frames in. A NIC that takes the '
    "tags off hides them from XDP: `ethtool -K NIC rxvlan off`.",
    "meta": "`meta.port` is the device that a frame came in by from outside: the root, or of a "
    "bond the port; frames of siblings came in by `none`. `meta.length` counts from the Ethernet "
    "header on, with all tags and without the FCS; "
    "what the kernel has merged (GRO) before a device's own ingress counts as one frame. "
    "`meta.probability` draws anew for each frame and rule. `meta.flow_probability` hashes source, "
    "destination, protocol and ports: a flow's frames have one fate, on every host and after every "
    "change; of a fragmented packet the ports are left out, so that its pieces stay together. Both "
    "take one value and no list.",
    "ip4": "A packet in one piece is `none`; `any` is `first` or `later`.",
    "ip6": "`ip6.nexthdr` looks at all headers of the chain: it holds if one of them has one of "
    "the numbers, and negated if none has. `ip6.frag` says `none` of a packet in one piece, "
    "though it may have a fragment header (RFC 6946).",
    "tcp": '`"syn,ack"` is these flags and no others, `any(…)` at least one, `all(…)` these and '
    "maybe more.",
    "arp": "These keys hold on ARP for Ethernet and IPv4. A shorter packet than its addresses need "
    "is malformed.",
}

TABLES = {
    "Protocols of the network": names.L3,
    "Transport protocols": names.L4,
    "Headers of an IPv6 chain": names.NEXT_HEADERS,
    "Services": names.SERVICES,
    "Classes of service": names.DSCP,
    "ICMP types": names.ICMP_TYPES,
    "ICMP codes": names.ICMP_CODES,
    "ICMPv6 types": names.ICMPV6_TYPES,
    "ICMPv6 codes": names.ICMPV6_CODES,
    "ARP operations": names.ARP_OPERATIONS,
}


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_actions(), *_sets(), PROGRAMS, *_keys(), *_names()])


def _actions() -> Iterator[str]:
    yield "## Actions\n"
    yield "| action | example | what it does |"
    yield "|---|---|---|"
    for action, example in ACTIONS.items():
        yield f"| `{action}` | `action: {example.value}` | {example.does} |"
    yield ""
    yield LIMITS


def _sets() -> Iterator[str]:
    yield "## Sets\n"
    yield SET_HEAD
    yield "| type | goes with | entries | match | holds on | does not hold on |"
    yield "|---|---|---|---|---|---|"
    for kind, one in SETS.items():
        keys = ", ".join(f"`{key}`" for key in MEMBERS.get(kind, ())) or "`set`, or its keys"
        row = f"`{one.entries}` | `{one.match}` | {one.on} | {one.not_on}"
        yield f"| `{one.type}` | {keys} | {row} |"
    yield ""
    composable = ", ".join(f"`{key}`" for key in COMPOSABLE)
    yield f"A composite set has two to {MOST_KEYS} of: {composable}.\n"


def _keys() -> Iterator[str]:
    yield "## Match keys\n"
    for family, title in FAMILIES.items():
        yield f"### {title}\n"
        if family in NOTES:
            yield f"{NOTES[family]}\n"
        yield "| key | is | value | example | holds on | does not hold on |"
        yield "|---|---|---|---|---|---|"
        for key in KEYS.values():
            if key.name.split(".")[0] == family:
                yield _row(key)
        yield ""


def _row(key: Key) -> str:
    example = EXAMPLES[key.name]
    wanted = key.form.wanted().replace("a name", _link(key))
    value = example.value.replace("|", "\\|")
    return f"| `{key.name}` | {key.doc} | {wanted} | `{value}` | {example.on} | {example.not_on} |"


def _link(key: Key) -> str:
    for title, table in TABLES.items():
        if tuple(table) == key.form.names:
            return f"[a name](#{title.lower().replace(' ', '-')})"
    return "a name"


def _names() -> Iterator[str]:
    yield "## Names\n"
    for title, table in TABLES.items():
        yield f"### {title}\n"
        form = "`{}` {:#06x}" if table is names.L3 else "`{}` {}"
        yield ", ".join(form.format(name, number) for name, number in table.items()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
