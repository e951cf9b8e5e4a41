"""bridge: an Ethernet switch (net/bridge/br_netlink.c, linux/if_bridge.h).

mcast_hash_elasticity has no row: kernels since 4.20 ignore it and always report 16. fdb_flush is
an action. Times are in hundredths of a second, as with iproute2.
"""

from __future__ import annotations

from xdpctl.topology.codecs import (
    Bit,
    Enum,
    Flag,
    Mac,
    Reference,
    timer32,
    timer64,
    u8,
    u16,
    u32,
)  # fmt: skip
from xdpctl.topology.kinds.common import QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Codec, Kind, Place, Property

BOOLOPT = 46


def row(name: str, attribute: int, codec: Codec, default: Value | None, doc: str) -> Property:
    """A row of the bridge's table."""
    return Property(name, attribute, codec, default=default, doc=doc)


def port(name: str, attribute: int, codec: Codec, default: Value | None, doc: str) -> Property:
    """A row of the ports' table."""
    return Property(name, attribute, codec, place=Place.PORT, default=default, doc=doc)


def switch(name: str, attribute: int, default: bool, doc: str) -> Property:
    """A row for an on/off property of a port."""
    return port(name, attribute, Flag(), default, doc)


PROPERTIES: tuple[Property, ...] = (
    row("forward_delay", 1, timer32(0, 3000), 1500, "in listening and in learning, each"),
    row("hello_time", 2, timer32(100, 1000), 200, "between hellos of the root"),
    row("max_age", 3, timer32(600, 4000), 2000, "how long a hello is believed"),
    row("ageing_time", 4, timer32(0, 100_000_000), 30000, "how long an address is remembered"),
    row("stp_state", 5, Flag("=I"), False, "spanning tree protocol"),
    row("priority", 6, u16(), 32768, "bridge priority, lowest is root"),
    row("vlan_filtering", 7, Flag(), False, "ports have VLANs"),
    row("vlan_protocol", 8, Enum(">H", {"802.1Q": 0x8100, "802.1ad": 0x88A8}), "802.1Q",
        "the tag that is filtered by"),
    row("group_fwd_mask", 9, u16(), 0, "link-local groups to forward, bits"),
    row("group_address", 20, Mac(unicast=False), "01:80:c2:00:00:00", "where hellos go"),
    row("mcast_router", 22, u8(0, 2), 1, "0: no router, 1: learnt, 2: always"),
    row("mcast_snooping", 23, Flag(), True, "learns who wants a group"),
    row("mcast_query_use_ifaddr", 24, Flag(), False, "queries carry the bridge's own address"),
    row("mcast_querier", 25, Flag(), False, "sends queries"),
    row("mcast_hash_max", 27, u32(), 4096, "most groups"),
    row("mcast_last_member_count", 28, u32(), 2, "queries after a leave"),
    row("mcast_startup_query_count", 29, u32(), 2, "queries at start"),
    row("mcast_last_member_interval", 30, timer64(), 100, "between queries after a leave"),
    row("mcast_membership_interval", 31, timer64(), 26000, "how long a group is remembered"),
    row("mcast_querier_interval", 32, timer64(), 25500, "how long another querier is believed"),
    row("mcast_query_interval", 33, timer64(100), 12500, "between queries"),
    row("mcast_query_response_interval", 34, timer64(), 1000, "how long an answer may take"),
    row("mcast_startup_query_interval", 35, timer64(100), 3125, "between queries at start"),
    row("nf_call_iptables", 36, Flag(), False, "IPv4 frames go through iptables"),
    row("nf_call_ip6tables", 37, Flag(), False, "IPv6 frames go through ip6tables"),
    row("nf_call_arptables", 38, Flag(), False, "ARP goes through arptables"),
    row("vlan_default_pvid", 39, u16(0, 4094), 1, "VLAN of untagged frames on new ports"),
    row("vlan_stats_enabled", 41, Flag(), False, "counters for each VLAN"),
    row("vlan_stats_per_port", 45, Flag(), False, "counters for each VLAN and port"),
    row("mcast_stats_enabled", 42, Flag(), False, "counters for multicast"),
    row("mcast_igmp_version", 43, u8(2, 3), 2, "IGMP version of queries"),
    row("mcast_mld_version", 44, u8(1, 2), 1, "MLD version of queries"),
    row("no_linklocal_learn", BOOLOPT, Bit(0x1), False, "learns nothing from link-local frames"),
    row("mcast_vlan_snooping", BOOLOPT, Bit(0x2), False, "snooping for each VLAN"),
    row("mst_enabled", BOOLOPT, Bit(0x4), False, "multiple spanning trees (5.18)"),
    row("fdb_max_learned", 49, u32(), 0, "most addresses to learn, 0: no limit (6.7)"),
    *QUEUES,
)  # fmt: skip

PORT: tuple[Property, ...] = (
    port("priority", 2, u16(0, 63), 32, "port priority, lowest is preferred"),
    port("cost", 3, u32(1, 65535), None, "path cost"),
    switch("hairpin", 4, False, "frames may leave by the port they came in"),
    switch("guard", 5, False, "a hello disables the port"),
    switch("root_block", 6, False, "never the root port"),
    switch("fastleave", 7, False, "a leave takes effect at once"),
    switch("learning", 8, True, "addresses are learnt"),
    switch("flood", 9, True, "unicast for unknown addresses is sent"),
    switch("proxy_arp", 10, False, "answers ARP for known neighbours"),
    switch("proxy_arp_wifi", 12, False, "proxy_arp to IEEE 802.11"),
    port("mcast_router", 25, u8(0, 3), 1, "0: no router, 1: learnt, 2: always, 3: temporary"),
    switch("mcast_flood", 27, True, "multicast for unknown groups is sent"),
    switch("mcast_to_unicast", 28, False, "multicast is sent to each member"),
    switch("vlan_tunnel", 29, False, "VLANs are mapped to tunnels"),
    switch("bcast_flood", 30, True, "broadcast is sent"),
    port("group_fwd_mask", 31, u16(), 0, "link-local groups to forward, bits"),
    switch("neigh_suppress", 32, False, "ARP and ND of known neighbours are not flooded"),
    switch("isolated", 33, False, "talks to ports that are not isolated only"),
    port("backup_port", 34, Reference(), None, "takes the traffic when the carrier is lost"),
    switch("locked", 39, False, "unknown source addresses are dropped"),
    switch("mab", 40, False, "locked: unknown addresses are noted for user space (6.2)"),
    port("mcast_max_groups", 42, u32(), 0, "most groups, 0: no limit (6.3)"),
    switch("neigh_vlan_suppress", 43, False, "neigh_suppress for each VLAN (6.4)"),
)

BRIDGE = Kind(
    "bridge",
    PROPERTIES,
    has_ports=True,
    rx_handler=True,
    port_properties=PORT,
    doc="an Ethernet switch",
)
