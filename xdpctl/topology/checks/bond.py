"""Bond options that exclude or need each other (bond_options.c, bond_netlink.c)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from xdpctl.topology.checks.stack import Finding, Stack
from xdpctl.topology.draft import Entry

MII_MODES = ("802.3ad", "balance-tlb", "balance-alb")
"""Modes that switch MII monitoring on by themselves, every 100 ms (bond_option_mode_set)."""

DEFAULT_MIIMON = 100


def check(stack: Stack) -> Iterator[Finding]:
    """Monitoring and its targets."""
    for entry in stack.of("bond"):
        yield from _delays(entry)
        yield from _validation(entry)
        yield from _targets(entry)


def _delays(entry: Entry) -> Iterator[Finding]:
    """They are counted in steps of miimon: the kernel rounds down, so a plan would never end."""
    given = entry.device.properties
    miimon = given.get("miimon")
    if not miimon and given.get("mode") in MII_MODES:
        miimon = DEFAULT_MIIMON
    for name in ("updelay", "downdelay", "peer_notify_delay"):
        delay = given.get(name)
        if delay is None:
            continue
        if not isinstance(miimon, int) or not miimon:
            yield entry, (name,), f"{name} needs miimon"
        elif isinstance(delay, int) and delay % miimon:
            rounded = delay - delay % miimon
            message = f"{name} {delay} is no multiple of miimon {miimon}: it would be {rounded}"
            yield entry, (name,), message


def _validation(entry: Entry) -> Iterator[Finding]:
    given = entry.device.properties
    if given.get("arp_validate", "none") != "none" and given.get("miimon"):
        yield entry, ("arp_validate",), "arp_validate and miimon exclude each other"


def _targets(entry: Entry) -> Iterator[Finding]:
    """bond_is_ip_target_ok; no link-local for neighbour solicitation."""
    for name in ("arp_ip_target", "ns_ip6_target"):
        targets = entry.device.properties.get(name, ())
        assert isinstance(targets, tuple)
        for target in targets:
            found = ipaddress.ip_address(str(target))
            first = found.packed[0]
            bad = first == 0 or int(found) == 2**32 - 1 if found.version == 4 else _odd(found)
            if bad:
                yield entry, (name,), f"{name}: {target} is an address that nobody can answer from"


def _odd(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_link_local or address.is_multicast or int(address) == 0
