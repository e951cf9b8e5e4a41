"""A frame in one line, as tcpdump's users read it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from xdpctl.policy.frame import Fragment, Headers, parse
from xdpctl.topology import key_names as names

_ARP = {number: name for name, number in names.ARP_OPERATIONS.items()}
_L3 = {number: name for name, number in names.L3.items()}
_L4 = {number: name for name, number in names.L4.items()}


def frame_text(frame: bytes) -> str:
    """`tcp 203.0.113.9:51000 > 10.0.0.10:443 syn`, and what else its headers say."""
    headers = parse(frame)
    vlans = "".join(f"vlan {tag & 0x0FFF} " for tag in headers.tags)
    return vlans + _network(headers)


def _network(headers: Headers) -> str:
    if headers.arp is not None:
        what = _ARP.get(headers.arp.operation, str(headers.arp.operation))
        sender, target = IPv4Address(headers.arp.sender), IPv4Address(headers.arp.target)
        return f"arp {what} {target} by {sender}"
    if headers.version is None:
        kind = headers.ether_type
        if kind is None:
            return "a cut frame"
        addresses = f"{_mac(headers.source)} > {_mac(headers.destination)}"
        return f"{_L3.get(kind, f'0x{kind:04x}')} {addresses}"
    family = IPv4Address if headers.version == 4 else IPv6Address
    ends = [str(family(number or 0)) for number in (headers.saddr, headers.daddr)]
    protocol = headers.protocol or 0
    return f"{_L4.get(protocol, f'protocol {protocol}')} {_ends(headers, ends)}{_rest(headers)}"


def _ends(headers: Headers, ends: list[str]) -> str:
    if headers.sport is None or headers.dport is None:
        return " > ".join(ends)
    shown = [f"[{end}]" if headers.version == 6 else end for end in ends]
    return f"{shown[0]}:{headers.sport} > {shown[1]}:{headers.dport}"


def _rest(headers: Headers) -> str:
    words: list[str] = []
    if headers.flags is not None:
        flags = [name for name, bit in names.TCP_FLAGS.items() if headers.flags & bit]
        words.append(",".join(flags) or "none")
    if headers.icmp_type is not None:
        words.append(f"type {headers.icmp_type} code {headers.icmp_code}")
    if headers.fragment in (Fragment.FIRST, Fragment.LATER):
        words.append(f"{headers.fragment.name.lower()} fragment")
    return "".join(f" {word}" for word in words)


def _mac(number: int | None) -> str:
    return (number or 0).to_bytes(6, "big").hex(":")
