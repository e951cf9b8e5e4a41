"""team: several ports as one device, run by user space (drivers/net/team, linux/if_team.h).

Its properties are options of the netlink family `team`, each of a type; a row's `attribute` is that
type. Options that are for user space's eyes (statistics) or programs (bpf_hash_func) have no row. A
new team has no mode, and sends nothing.
"""

from __future__ import annotations

from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import Flag, Reference, loosely, nearest, s32, shown, u32
from xdpctl.topology.kinds.common import QUEUES
from xdpctl.topology.model import Value
from xdpctl.topology.property import Change, Codec, Kind, Place, Property

U32, STRING, FLAG, S32 = 3, 5, 6, 14
"""enum of include/net/netlink.h: NLA_U32, NLA_STRING, NLA_FLAG, NLA_S32."""
MODES = ("roundrobin", "broadcast", "activebackup", "loadbalance", "random")
NO_MODE = "*NOMODE*"
OWN_ADDRESS = ("activebackup", "loadbalance")
"""Modes in which ports keep their MAC addresses (team_modeop_port_enter in the others)."""


@record
class Word:
    """One of a few words, which the kernel knows as words, too. `-` and `_` may be written in them
    or left out.
    """

    words: tuple[str, ...]

    def parse(self, raw: object) -> Value:
        """A word."""
        wanted = _bare(shown(raw))
        for word in self.words:
            if _bare(word) == wanted:
                return word
        hint = nearest(shown(raw), self.words) if isinstance(raw, str) else ""
        raise ValueError(f"must be one of {', '.join(self.words)}, not {shown(raw)}{hint}")

    def encode(self, value: Value) -> bytes:
        """A C string."""
        return str(value).encode() + b"\0"

    def decode(self, payload: bytes) -> Value:
        """The word."""
        return payload.rstrip(b"\0").decode()

    def schema(self) -> dict[str, Any]:
        """The words."""
        return {"enum": list(self.words)}


def _bare(word: str) -> str:
    return loosely(word).replace("-", "").replace("_", "")


def row(
    name: str,
    kind: int,
    codec: Codec,
    default: Value | None,
    doc: str,
    *,
    modes: tuple[Value, ...] = (),
) -> Property:
    """A row of the team's table; `modes` are those that have the option."""
    only_with = (("mode", modes),) if modes else ()
    return Property(
        name, kind, codec, place=Place.OPTION, default=default, doc=doc, only_with=only_with
    )


def port(name: str, kind: int, codec: Codec, default: Value, doc: str) -> Property:
    """A row of the ports' table."""
    return Property(name, kind, codec, place=Place.PORT_OPTION, default=default, doc=doc)


PROPERTIES: tuple[Property, ...] = (
    Property("mode", STRING, Word(MODES), Change.NO_PORTS, Place.OPTION, None,
        "how the ports share the traffic", drags=("activeport", "lb_tx_method")),
    row("activeport", U32, Reference(), None, "the port that sends and receives",
        modes=("activebackup",)),
    row("lb_tx_method", STRING, Word(("hash", "hash_to_port_mapping")), "hash",
        "what picks the port", modes=("loadbalance",)),
    row("lb_stats_refresh_interval", U32, u32(), 0, "between counts, tenths of a second",
        modes=("loadbalance",)),
    row("notify_peers_count", U32, u32(), 0, "gratuitous ARPs and NAs when a port is enabled"),
    row("notify_peers_interval", U32, u32(), 0, "between these, ms"),
    row("mcast_rejoin_count", U32, u32(), 0, "IGMP reports when a port is enabled"),
    row("mcast_rejoin_interval", U32, u32(), 0, "between these, ms"),
    *QUEUES,
)  # fmt: skip

PORT = (
    port("enabled", FLAG, Flag(), True, "takes part"),
    port("priority", S32, s32(), 0, "of its transmit queue, the highest sends"),
    port("queue_id", U32, u32(), 0, "transmit queue that it serves"),
    port("user_linkup_enabled", FLAG, Flag(), False, "user_linkup counts, not the carrier"),
    port("user_linkup", FLAG, Flag(), False, "the link is said to be up"),
)

TEAM = Kind(
    "team",
    PROPERTIES,
    has_ports=True,
    rx_handler=True,
    port_properties=PORT,
    doc="several ports as one device, run by user space",
)
