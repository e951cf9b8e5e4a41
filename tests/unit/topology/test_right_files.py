"""What looks wrong and is not: the kernel takes it, so the loader does."""

import pytest

from xdpctl.topology.load import load_texts

ETH0 = "  eth0: {kind: physical, mtu: 1500}\n"
RIGHT = {
    "siblings with addresses of their own": """
  a: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:01"}
  b: {kind: macvtap, parent: eth0, address: "02:00:00:00:00:02"}
""",
    "one address on two parents": """
  eth1: {kind: physical}
  a: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:01"}
  b: {kind: macvlan, parent: eth1, address: "02:00:00:00:00:01"}
""",
    "a VLAN with its parent's address": """
  eth1: {kind: physical, address: "02:00:00:00:00:01"}
  v: {kind: vlan, parent: eth1, id: 5, address: "02:00:00:00:00:01"}
  w: {kind: vlan, parent: eth1, id: 6, address: "02:00:00:00:00:01"}
""",
    "passthru alone, with its parent's address": """
  eth1: {kind: physical, address: "02:00:00:00:00:01"}
  a: {kind: macvlan, parent: eth1, mode: passthru, flag: nopromisc, address: "02:00:00:00:00:01"}
  v: {kind: vlan, parent: eth1, id: 5}
""",
    "macvlans and VLANs on one device": """
  v: {kind: vlan, parent: eth0, id: 5}
  a: {kind: macvlan, parent: eth0}
  b: {kind: macvlan, parent: v}
  br0: {kind: bridge, ports: [b]}
""",
    "macvlans on bonds and bridges": """
  bond0: {kind: bond, ports: [eth1, eth2]}
  br0: {kind: bridge, ports: [bond0]}
  a: {kind: macvlan, parent: br0}
""",
    "one VLAN ID in two protocols and on two parents": """
  a: {kind: vlan, parent: eth0, id: 5}
  b: {kind: vlan, parent: eth0, id: 5, protocol: 802.1ad}
  c: {kind: vlan, parent: a, id: 5}
""",
    "source mode": """
  a: {kind: macvlan, parent: eth0, mode: source, macaddr: ["02:00:00:00:00:01"], flag: nodst}
""",
    "an empty list of source addresses in another mode": """
  a: {kind: macvlan, parent: eth0, mode: bridge, macaddr: []}
""",
    "MTUs up to the parent's": """
  a: {kind: macvlan, parent: eth0, mtu: 1500}
  v: {kind: vlan, parent: eth0, id: 5, mtu: 1500}
  x: {kind: vxlan, parent: eth0, id: 5, dstport: 4789, mtu: 1450}
  y: {kind: vxlan, parent: eth0, external: on, learning: off, gpe: on, dstport: 1, mtu: 1464}
  z: {kind: vxlan, id: 7, dstport: 4789, mtu: 9000}
""",
    "an MTU above that of a bridge's ports": """
  br0: {kind: bridge, ports: [eth0], mtu: 9000}
""",
    "an MTU on a parent that has none in the file": """
  eth1: {kind: physical}
  a: {kind: macvlan, parent: eth1, mtu: 9000}
""",
    "a bond's ports with the bond's own MTU": """
  eth1: {kind: physical, mtu: 9000}
  eth2: {kind: physical, mtu: 1500}
  bond0: {kind: bond, ports: [eth1], mtu: 9000}
  bond1: {kind: bond, ports: [eth2]}
""",
    "a bond's port keeps its address": """
  eth1: {kind: physical, address: "02:00:00:00:00:01"}
  bond0: {kind: bond, ports: [eth1], mode: active-backup, fail_over_mac: active}
""",
    "queues of a bond's ports": """
  bond0:
    kind: bond
    ports: {eth1: {queue_id: 0}, eth2: {queue_id: 0}, eth3: {queue_id: 16}, eth4: {queue_id: 1}}
  bond1: {kind: bond, numtxqueues: 32, ports: [{eth5: {queue_id: 32}}, eth6]}
""",
    "bond delays in steps of miimon": """
  bond0: {kind: bond, miimon: 50, updelay: 100, downdelay: 0, peer_notif_delay: 150}
  bond1: {kind: bond, mode: balance-alb, updelay: 300}
  bond2: {kind: bond, miimon: 0, arp_interval: 100, arp_ip_target: 10.0.0.1, arp_validate: none}
  bond3: {kind: bond, miimon: 100, arp_interval: 0}
  bond4: {kind: bond, mode: active-backup, arp_interval: 100, arp_validate: filter_active}
  bond5: {kind: bond, mode: active-backup, ports: [eth1], primary: eth1, miimon: 100}
""",
    "VXLANs of one VNI apart": """
  a: {kind: vxlan, id: 5, dstport: 4789}
  b: {kind: vxlan, id: 5, dstport: 4790}
  c: {kind: vxlan, id: 5, dstport: 4789, remote: "2001:db8::1"}
  d: {kind: vxlan, id: 5, dstport: 4789, gbp: on}
  e: {kind: vxlan, external: on, vnifilter: on, dstport: 4789}
  f: {kind: vxlan, external: on, vnifilter: on, dstport: 4789}
  g: {kind: vxlan, id: 5, dstport: 4789, remote: "fe80::1", parent: eth0}
""",
    "a multicast group with a parent": """
  a: {kind: vxlan, id: 5, group: 239.1.1.1, parent: eth0}
  b: {kind: vxlan, id: 6, remote: any, local: 10.0.0.1, gpe: off, gbp: off}
""",
    "both ends of a veth": """
  v0: {kind: veth, peer: v1}
  v1: {kind: veth, peer: v0}
  w0: {kind: veth, peer: w1}
""",
    "XDP on a bridge's ports": """
  tap0: {kind: tap, xdp: {mode: native, unknown: pass}}
  eth1: {kind: physical, xdp: {unknown: pass}}
  br0: {kind: bridge, ports: [tap0, eth1]}
""",
    "XDP on any root": """
  veth0: {kind: veth, peer: veth1, xdp: {mode: native, unknown: drop}}
  tap0: {kind: tap, xdp: {mode: native}}
  bond0: {kind: bond, mode: 802.3ad, xmit_hash_policy: layer3+4, xdp: {mode: native}}
  bond1: {kind: bond, mode: broadcast, xdp: {mode: auto}}
  br0: {kind: bridge, xdp: {mode: generic}}
  v: {kind: vlan, parent: eth0, id: 5, xdp: {flood: drop}}
""",
    "names of fifteen bytes": """
  fifteen-bytes-0: {kind: dummy}
  "#'$": {kind: dummy}
  ümläut: {kind: dummy}
  "1": {kind: dummy}
""",
    "one protocol in several keys": """
policies:
  p:
    rules:
      - {match: {tcp.sport: 1, tcp.dport: 2, ip4.saddr: 10.0.0.1, ip4.proto: tcp}, action: pass}
      - {match: {ether.type: ip6, icmpv6.type: 128, ip6.saddr: ::1}, action: pass}
""",
}


@pytest.mark.parametrize("devices", RIGHT.values(), ids=RIGHT.keys())
def test_it_is_right(devices: str) -> None:
    text = f"version: 1\nname: t\ndevices:\n{ETH0}{devices.lstrip(chr(10))}"
    assert "eth0" in load_texts({"t": text}).devices
