"""Ways from one topology to another, which together use every operation on links.

A scene is what exists beforehand (commands of ip), the topology applied first ("" for none),
and the one that is applied with faults ("" for destroy).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.kernel.conftest import Netns
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

HEADER = "version: 1\nname: edge\ndevices:\n"
NIC = "link add eth0 type veth peer name wire"
MAC = "02:00:00:00:00:"


@dataclass(frozen=True, slots=True)
class Scene:
    """One way."""

    name: str
    first: str
    second: str
    before: tuple[str, ...] = (NIC,)

    def prepare(self, netns: Netns) -> None:
        """What exists before xdpctl comes."""
        for command in self.before:
            netns.ip(*command.split())


def topology(devices: str) -> Topology:
    """The topology of a scene."""
    return load_texts({"scene.yaml": HEADER + devices})


CREATE = f"""\
  eth0: {{kind: physical, mtu: 1600, state: up}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{MAC}10", mtu: 1550, state: up}}
  vm0: {{kind: macvtap, parent: eth0, address: "{MAC}11", state: up, txqueuelen: 400}}
  br0: {{kind: bridge, ports: [v0, v2], mtu: 1400, state: up, ageing_time: 100}}
  v0: {{kind: veth, peer: v1, state: up, address: "{MAC}12"}}
  v2: {{kind: veth, peer: v3, address: "{MAC}13"}}
  v3: {{kind: veth, peer: v2, state: up, mtu: 1300, address: "{MAC}14"}}
  tap0: {{kind: tap, state: up, address: "{MAC}15"}}
  vx: {{kind: vxlan, id: 7, dstport: 4789, state: up, address: "{MAC}16"}}
"""
CHANGE = f"""\
  eth0: {{kind: physical, mtu: 1400, state: up}}
  web0: {{kind: macvlan, parent: eth0, mode: private, address: "{MAC}11", mtu: 1350, state: up}}
  vm0: {{kind: macvtap, parent: eth0, address: "{MAC}10", state: up, txqueuelen: 500}}
  br0: {{kind: bridge, ports: [v0], mtu: 1300, state: up, ageing_time: 200}}
  br1: {{kind: bridge, ports: [v2], state: up, address: "{MAC}20"}}
  v0: {{kind: veth, peer: v1, state: down, address: "{MAC}12"}}
  v2: {{kind: veth, peer: v3, state: up, address: "{MAC}13"}}
  v3: {{kind: veth, peer: v2, state: up, mtu: 1200, address: "{MAC}14"}}
  tap0: {{kind: tap, address: "{MAC}17"}}
  vx: {{kind: vxlan, id: 7, dstport: 4789, state: up, address: "{MAC}16"}}
"""
REPLACE = f"""\
  eth0: {{kind: physical, mtu: 1600, state: up}}
  web0: {{kind: macvlan, parent: v0, mode: bridge, address: "{MAC}10", state: up}}
  br0: {{kind: bridge, ports: [v2], mtu: 1400, state: up}}
  v0: {{kind: veth, peer: v9, state: up, address: "{MAC}12"}}
  v2: {{kind: veth, peer: v3, address: "{MAC}13"}}
  v3: {{kind: veth, peer: v2, state: up, mtu: 1300, address: "{MAC}14"}}
  tap0: {{kind: tap, multi_queue: on, state: up, address: "{MAC}15"}}
  vx: {{kind: vxlan, id: 8, dstport: 4789, state: up, address: "{MAC}16"}}
"""
ALONE = f"""\
  eth0: {{kind: physical}}
  web0: {{kind: macvlan, parent: eth0, mode: passthru, address: "{MAC}30", state: up}}
"""
SIBLINGS = """\
  eth0: {kind: physical}
  "t[1-6]": {kind: macvlan, parent: eth0, address: {base: "02:00:00:01:00:00"}, state: up}
"""

POLICED = f"""\
  eth0: {{kind: physical, state: up}}
  web0: {{kind: macvlan, parent: eth0, address: "{MAC}10", state: up, xdp: {{policy: web}}}}
  web1: {{kind: macvlan, parent: eth0, address: "{MAC}11", state: up, xdp: {{policy: all}}}}
policies:
  web: {{default: drop, rules: [{{match: {{ether.type: arp}}, action: pass}}]}}
  all: {{default: pass, rules: []}}
"""
REPOLICED = f"""\
  eth0: {{kind: physical, state: up}}
  web0: {{kind: macvlan, parent: eth0, address: "{MAC}11", state: up, xdp: {{policy: web}}}}
  web2: {{kind: macvlan, parent: eth0, address: "{MAC}12", state: up, xdp: {{policy: web}}}}
policies:
  web: {{default: pass, rules: [{{match: {{ether.type: arp}}, action: drop}}]}}
"""
SCENES = (
    Scene("create", "", CREATE),
    Scene("change", CREATE, CHANGE),
    Scene("change back", CHANGE, CREATE),
    Scene("replace", CREATE, REPLACE),
    Scene("passthru to siblings", ALONE, SIBLINGS),
    Scene("siblings to passthru", SIBLINGS, ALONE),
    Scene("delete", CREATE, "  eth0: {kind: physical}\n"),
    Scene("destroy", CREATE, ""),
    Scene("policies", "", POLICED),
    Scene("other policies", POLICED, REPOLICED),
    Scene("destroy policies", POLICED, ""),
    Scene("replace policed", POLICED, POLICED.replace("kind: macvlan", "kind: macvtap")),
)

TRANSIENT = frozenset(
    {"ifindex", "link_index", "stats64", "stats", "gc_timer", "tcn_timer", "hello_timer"}
    | {"topology_change_timer", "hold_timer", "message_age_timer", "forward_delay_timer"}
    | {"operstate", "topology_change", "topology_change_detected", "topology_change_ack"}
    | {"state", "qdisc", "port_id", "port_no", "designated_port", "config_pending", "no"}
    | {"prog", "valid_life_time", "preferred_life_time", "usedbcqueuelen"}
)
"""What time alone changes, or the order in which devices were created."""


def snapshot(netns: Netns) -> Any:
    """All that `ip` shows of devices, addresses and routes, by name, without what is transient."""
    links = {link["ifname"]: clean(link) for link in netns.json("link")}
    for link in links.values():
        link["flags"] = sorted(set(link["flags"]) & {"UP", "NOARP", "PROMISC", "MULTICAST"})
    addresses = {
        link["ifname"]: sorted(
            json.dumps(clean(one), sort_keys=True)
            for one in link["addr_info"]
            if one["family"] == "inet" or one["scope"] == "global"
        )
        for link in netns.json("address")
    }
    routes = [{**clean(one), "flags": []} for one in netns.json("route")]
    return {"links": links, "addresses": addresses, "routes": routes}


def clean(value: Any) -> Any:
    """Without what is transient."""
    if isinstance(value, dict):
        return {key: clean(one) for key, one in value.items() if key not in TRANSIENT}
    return [clean(one) for one in value] if isinstance(value, list) else value


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """What is different, one line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in sorted({*before, *after})
            for line in differences(before.get(key), after.get(key), f"{path}/{key}")
        ]
    return [] if before == after else [f"{path}: {before} -> {after}"]
