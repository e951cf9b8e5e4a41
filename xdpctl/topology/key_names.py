"""Names that the match keys' values may have.

Names of ICMP types, DSCP classes and the like as nft's. Names of protocols and services are a
built-in table and not the host's, so that a file means the same everywhere.
"""

from __future__ import annotations

from typing import Final

from xdpctl.topology.model import Interval, Masked

L3: Final = {"ip4": 0x0800, "arp": 0x0806, "ip6": 0x86DD}

L4: Final = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47,
    "esp": 50, "ah": 51, "icmpv6": 58, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112,
    "l2tp": 115, "sctp": 132, "udplite": 136,
}  # fmt: skip

NEXT_HEADERS: Final = {"hop": 0, "route": 43, "frag": 44, "dst": 60, "mh": 135} | L4
"""Of an IPv6 chain: extension headers, and what may end it."""

DSCP: Final = {
    "cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56,
    "af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26,
    "af32": 28, "af33": 30, "af41": 34, "af42": 36, "af43": 38, "ef": 46, "va": 44, "le": 1,
}  # fmt: skip
"""Classes of service (RFC 2474, 2597, 3246, 5865, 8622)."""

NO_FRAGMENT, FIRST_FRAGMENT, LATER_FRAGMENT = 1, 2, 3

FRAGMENTS: Final = {
    "none": Interval(NO_FRAGMENT, NO_FRAGMENT),
    "first": Interval(FIRST_FRAGMENT, FIRST_FRAGMENT),
    "later": Interval(LATER_FRAGMENT, LATER_FRAGMENT),
    "any": Interval(FIRST_FRAGMENT, LATER_FRAGMENT),
}

_GROUP_BIT = 1 << 40

GROUPS: Final[dict[str, Interval | Masked]] = {
    "broadcast": Interval((1 << 48) - 1, (1 << 48) - 1),
    "multicast": Masked(_GROUP_BIT, _GROUP_BIT),
}
"""Groups of MAC addresses; broadcast is a multicast, too (is_multicast_ether_addr)."""

TCP_FLAGS: Final = {
    "fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128,
}  # fmt: skip

ARP_OPERATIONS: Final = {
    "request": 1, "reply": 2, "rrequest": 3, "rreply": 4, "inrequest": 8, "inreply": 9, "nak": 10,
}  # fmt: skip

SERVICES: Final = {
    "echo": 7, "discard": 9, "daytime": 13, "chargen": 19, "whois": 43, "tacacs": 49,
    "gopher": 70, "finger": 79, "www": 80, "nntp": 119, "msrpc": 135, "netbios-ns": 137,
    "netbios-dgm": 138, "netbios-ssn": 139, "imap": 143, "irc": 194, "smtps": 465,
    "printer": 515, "rtsp": 554, "nntps": 563, "ipp": 631, "rsync": 873, "ftps-data": 989,
    "ftps": 990, "telnets": 992, "socks": 1080, "ms-sql-m": 1434, "pptp": 1723, "ssdp": 1900,
    "mqtt": 1883, "etcd-client": 2379, "iscsi": 3260, "stun": 3478, "svn": 3690, "rfb": 5900,
    "amqps": 5671, "coap": 5683, "x11": 6000, "ircs-u": 6697, "wireguard": 51820,
    "secure-mqtt": 8883, "https-alt": 8443, "git": 9418, "memcached": 11211,
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53,
    "bootps": 67, "bootpc": 68, "tftp": 69, "http": 80, "kerberos": 88, "pop3": 110,
    "sunrpc": 111, "ntp": 123, "imap2": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179,
    "ldap": 389, "https": 443, "microsoft-ds": 445, "submissions": 465, "isakmp": 500,
    "syslog": 514, "dhcpv6-client": 546, "dhcpv6-server": 547, "submission": 587, "ldaps": 636,
    "domain-s": 853, "imaps": 993, "pop3s": 995, "openvpn": 1194, "ms-sql-s": 1433,
    "radius": 1812, "radius-acct": 1813, "nfs": 2049, "mysql": 3306, "ms-wbt-server": 3389,
    "ipsec-nat-t": 4500, "vxlan": 4789, "sip": 5060, "sip-tls": 5061, "mdns": 5353,
    "postgresql": 5432, "amqp": 5672, "redis": 6379, "http-alt": 8080,
}  # fmt: skip

ICMP_TYPES: Final = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5,
    "echo-request": 8, "router-advertisement": 9, "router-solicitation": 10,
    "time-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13,
    "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
}  # fmt: skip

ICMP_CODES: Final = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3,
    "frag-needed": 4, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip

ICMPV6_TYPES: Final = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3,
    "parameter-problem": 4, "echo-request": 128, "echo-reply": 129,
    "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
    "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137,
    "router-renumbering": 138, "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142,
    "mld2-listener-report": 143,
}  # fmt: skip

ICMPV6_CODES: Final = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4,
    "policy-fail": 5, "reject-route": 6,
}  # fmt: skip
