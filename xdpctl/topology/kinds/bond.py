"""bond: several ports as one device (drivers/net/bonding/bond_options.c, bond_netlink.c).

active_slave is state, not configuration (a failover moves it), and has no row. use_carrier is
fixed to on since 6.18. A dump tells ad_actor_* and ad_user_port_key in 802.3ad only.
"""

from __future__ import annotations

from xdpctl.topology.codecs import Addresses, Enum, Flag, Mac, Reference, s32, u8, u16, u32
from xdpctl.topology.kinds.common import QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Codec, Kind, Place, Property

MODES = {
    "balance-rr": 0,
    "active-backup": 1,
    "balance-xor": 2,
    "broadcast": 3,
    "802.3ad": 4,
    "balance-tlb": 5,
    "balance-alb": 6,
}
ARP_VALIDATE = ("none", "active", "backup", "all", "filter", "filter_active", "filter_backup")
XMIT_HASH = ("layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac")
LACP: tuple[Value, ...] = ("802.3ad",)
NOT_ARP: tuple[Value, ...] = ("balance-rr", "active-backup", "balance-xor", "broadcast")
PRIMARY: tuple[Value, ...] = ("active-backup", "balance-tlb", "balance-alb")


def choice(layout: str, *names: str) -> Enum:
    """Keywords numbered from 0."""
    return Enum(layout, {name: number for number, name in enumerate(names)})


def row(
    name: str,
    attribute: int,
    codec: Codec,
    default: Value | None,
    doc: str,
    *,
    change: Change = Change.IN_PLACE,
    modes: tuple[Value, ...] = (),
    conflicts: tuple[str, ...] = (),
    absent: Value | None = None,
    drags: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
) -> Property:
    """A row of the table; `modes` are those that the option means something in."""
    only_with = (("mode", modes),) if modes else ()
    return Property(
        name, attribute, codec, change, Place.DATA, default, doc, absent,
        drags=drags, only_with=only_with, conflicts=conflicts, aliases=aliases,
    )  # fmt: skip


DELAYS = ("updelay", "downdelay", "peer_notify_delay")
DOWN, NO_PORTS = Change.DOWN, Change.NO_PORTS
PROPERTIES: tuple[Property, ...] = (
    row("mode", 1, Enum("=B", MODES), "balance-rr", "how the ports share the traffic",
        change=Change.DOWN_NO_PORTS),
    row("miimon", 3, u32(0, 2**31 - 1), None, "link monitoring interval, ms",
        conflicts=("arp_interval",), drags=DELAYS),
    row("updelay", 4, u32(0, 2**31 - 1), 0, "wait before using a link that came up, ms"),
    row("downdelay", 5, u32(0, 2**31 - 1), 0, "wait before giving up a link that went down, ms"),
    row("peer_notify_delay", 28, u32(0, 300_000), 0, "between peer notifications, ms",
        aliases=("peer_notif_delay",)),
    row("use_carrier", 6, Flag(), True, "link state from the carrier"),
    row("arp_interval", 7, u32(0, 2**31 - 1), 0, "ARP monitoring interval, ms", modes=NOT_ARP,
        conflicts=("miimon",)),
    row("arp_validate", 9, choice("=I", *ARP_VALIDATE), "none", "which ARPs count", modes=NOT_ARP),
    row("arp_all_targets", 10, choice("=I", "any", "all"), "any", "how many targets must answer"),
    row("arp_ip_target", 8, Addresses(4, 16), (), "whom ARP monitoring asks", absent=()),
    row("ns_ip6_target", 31, Addresses(6, 16), (), "whom monitoring by neighbour solicitation asks",
        absent=()),
    row("primary", 11, Reference(), None, "the port to prefer", modes=PRIMARY),
    row("primary_reselect", 12, choice("=B", "always", "better", "failure"), "always",
        "when the primary takes over again", modes=PRIMARY),
    row("fail_over_mac", 13, choice("=B", "none", "active", "follow"), "none",
        "whose MAC the bond has", change=NO_PORTS),
    row("xmit_hash_policy", 14, choice("=B", *XMIT_HASH), "layer2", "what picks the port"),
    row("resend_igmp", 15, u32(0, 255), 1, "IGMP reports after a failover"),
    row("num_grat_arp", 16, u8(), 1, "peer notifications after a failover",
        aliases=("num_unsol_na", "num_peer_notif")),
    row("all_slaves_active", 17, Enum("=B", {"dropped": 0, "delivered": 1},
        {"off": "dropped", "on": "delivered"}), "dropped", "duplicate frames on inactive ports"),
    row("min_links", 18, u32(0, 2**31 - 1), 0, "ports up for the carrier to be"),
    row("lp_interval", 19, u32(1, 2**31 - 1), 1, "between learning packets, s"),
    row("packets_per_slave", 20, u32(0, 65535), 1, "before the next port", modes=("balance-rr",)),
    row("tlb_dynamic_lb", 27, Flag(), True, "flows are moved by load", change=DOWN,
        modes=("balance-tlb", "balance-alb")),
    row("lacp_rate", 21, choice("=B", "slow", "fast"), "slow", "how often the partner sends",
        change=DOWN,
        modes=LACP),
    row("lacp_active", 29, Flag(), True, "sends LACPDUs unasked", change=DOWN, modes=LACP),
    row("ad_select", 22, choice("=B", "stable", "bandwidth", "count"), "stable",
        "which aggregator is used", change=DOWN, modes=LACP),
    row("ad_user_port_key", 25, u16(0, 1023), 0, "of the port key", change=DOWN, modes=LACP),
    row("ad_actor_sys_prio", 24, u16(1, 65535), 65535, "LACP system priority", modes=LACP),
    row("ad_actor_system", 26, Mac(), None, "LACP system MAC", modes=LACP),
    row("arp_missed_max", 30, u8(1), 2, "missed answers for a link to be down",
        modes=NOT_ARP, aliases=("missed_max",)),
    row("coupled_control", 32, Flag(), True, "LACP's coupled state machine (6.8)", change=DOWN,
        modes=LACP),
    *QUEUES,
)  # fmt: skip

PORT = (
    Property("queue_id", 5, u16(), place=Place.PORT, default=0, doc="transmit queue, one a port"),
    Property(
        "prio",
        9,
        s32(),
        place=Place.PORT,
        default=0,
        doc="the highest becomes active",
        only_with=(("mode", PRIMARY),),
    ),
)

BOND = Kind(
    "bond",
    PROPERTIES,
    has_ports=True,
    rx_handler=True,
    port_properties=PORT,
    doc="several ports as one device",
)
