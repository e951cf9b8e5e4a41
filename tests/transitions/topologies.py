"""Random topologies over two NICs: what one file may ask for, in whatever combination."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from xdpctl.errors import TopologyError
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

NICS = ("eth0", "eth1")
MANY = ", ".join(
    f"{{name: r{n}, match: {{ip4.saddr: 10.{n}.0.0/16, udp.dport: {n + 1}}}, action: {action}}}"
    for n in range(40)
    for action in [("drop", "pass", "count")[n % 3]]
)
POLICIES = {
    "open": "{default: pass, rules: [{name: no, match: {udp.dport: 9}, action: drop}]}",
    "shut": "{default: drop}",
    "web": "{default: drop, rules: [{name: web, match: {tcp.dport: [80, 443, 8000-8100]}, "
    "action: pass}, {name: ping, match: {icmp.type: echo-request}, action: {limit: 100/second}}]}",
    "tag": "{rules: [{name: seven, match: {vlan.id: 7}, action: drop}]}",
    "port": "{rules: [{name: first, match: {meta.port: eth0}, action: count}]}",
    "long": f"{{default: pass, rules: [{MANY}]}}",
    "set": '{rules: [{name: listed, match: {ip4.saddr: "@blocked"}, action: drop}]}',
    "away": "{rules: [{name: away, match: {udp.dport: 77}, action: {redirect: eth1}}]}",
    "empty": "{rules: []}",
}
PASSING = frozenset({"open", "tag", "port", "long", "set", "away", "empty"})
"""What lets a plain UDP datagram through."""
TAIL = "policies:\n" + "".join(f"  {name}: {text}\n" for name, text in POLICIES.items())
TAIL += "sets:\n  blocked: {type: ip4, entries: [192.0.2.0/24]}\n"
BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "802.3ad", "broadcast")
"""Not those in which ports trade addresses."""


def drawn(random: Random, kinds: Collection[str]) -> tuple[str, Topology]:
    """A topology that is right by itself, of devices of these kinds."""
    while True:
        text = Drawing(random, kinds).text()
        try:
            return text, load_texts({"topo.yaml": text})
        except TopologyError:
            continue


class Drawing:
    """One attempt at a file; it may well be wrong."""

    def __init__(self, random: Random, kinds: Collection[str]) -> None:
        self._random = random
        self._kinds = kinds
        self._lines: list[str] = []
        self._parents: list[str] = []
        self._bound: set[str] = set()

    def text(self) -> str:
        for name in NICS:
            if self._may(0.9):
                more = self._one_of("", ", state: up", ", mtu: 1400", ", state: up")
                self._add(name, "physical", more, root=True)
                self._parents.append(name)
        if self._parents and self._may(0.5):
            self._master()
        for number in range(self._random.randint(1, 8)):
            if self._parents:
                self._upper(f"d{number}")
        self._random.shuffle(self._lines)
        body = "".join(f"  {line}\n" for line in self._lines or ["eth0: {kind: physical}"])
        return f"version: 1\nname: edge\ndevices:\n{body}{TAIL}"

    def _master(self) -> None:
        kind = self._random.choice([k for k in ("bridge", "bond", "team") if k in self._kinds])
        ports = self._random.sample(self._parents, self._random.randint(1, len(self._parents)))
        if self._may(0.4):
            self._add("tap9", "tap", "", root=True)
            ports.append("tap9")
        more = self._one_of("", ", stp_state: off") if kind == "bridge" else ""
        if kind == "bond":
            more = f", mode: {self._random.choice(BOND_MODES)}"
        self._add("up0", kind, f", ports: [{', '.join(ports)}], state: up{more}", root=True)
        self._bound |= set(ports)
        self._parents.append("up0")

    def _upper(self, name: str) -> None:
        free = [one for one in self._parents if one not in self._bound]
        parent = self._random.choice(free or self._parents)
        kinds = ("macvlan", "macvlan", "macvlan", "macvtap", "tap", "veth", "vlan", "vlan")
        kind = self._random.choice([one for one in kinds if one in self._kinds])
        address = f', address: "02:00:00:00:00:{self._random.randint(16, 24):02x}"'
        states = (", state: up", ", state: up", ", state: up", ", state: down", "")
        more = self._one_of(address, address, "") + self._one_of(*states)
        if kind in ("macvlan", "macvtap"):
            modes = ("", "bridge", "bridge", "private", "vepa", "source", "passthru")
            mode = self._random.choice(modes)
            self._add(name, kind, f", parent: {parent}{mode and f', mode: {mode}'}{more}")
        elif kind == "vlan":
            tag = f", id: {self._random.randint(1, 3)}{self._one_of('', ', protocol: 802.1ad')}"
            self._add(name, kind, f", parent: {parent}{tag}{more}")
            self._parents.append(name)
        else:
            more += f", peer: {name}p" if kind == "veth" else ""
            if self._may(0.6):
                self._add(name, kind, f", parent: {parent}, deliver: redirect{more}", egress=True)
            else:
                self._add(name, kind, more, root=True)

    def _add(
        self, name: str, kind: str, more: str, *, root: bool = False, egress: bool = False
    ) -> None:
        wanted = [f"policy: {self._random.choice(list(POLICIES))}"] if self._may(0.7) else []
        if root:
            wanted += ["unknown: drop"] if self._may(0.2) else []
            wanted += [f"mode: {self._one_of('auto', 'native', 'generic')}"] * self._may(0.4)
            wanted += ["enabled: false"] if self._may(0.15) else []
        else:
            wanted += [f"flood: {self._one_of('enforce', 'pass', 'drop')}"] * self._may(0.3)
        wanted += [f"egress: {self._one_of('open', 'shut', 'long')}"] * (egress and self._may(0.5))
        xdp = f", xdp: {{{', '.join(wanted)}}}" if wanted else ""
        self._lines.append(f"{name}: {{kind: {kind}{more}{xdp}}}")

    def _may(self, chance: float) -> bool:
        return self._random.random() < chance

    def _one_of(self, *words: str) -> str:
        return self._random.choice(words)
