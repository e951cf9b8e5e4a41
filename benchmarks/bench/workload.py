"""What is measured: the same rules as a topology, as nftables' rules and for the C program."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RULE_COUNTS: Final = (1, 8, 32, 128)
SIZES: Final = (8, 100, 1_000, 10_000, 100_000, 1_000_000)
MOST_PORTS: Final = 10_000
KINDS: Final = ("address", "prefix", "port", "pair")
SAMPLES: Final = 1 << 18
"""Different frames that are sent in turn at most, so that large sets do not fit the caches."""
LARGE: Final = 100_000
"""Sets from this size on are measured with fewer frames: each finds its entry in memory."""
FEWEST: Final = 16
"""By how much at most."""
ADDRESS: Final = "02:00:00:00:00:10"
NIC, WIRE = "eth0", "wire0"
_SEED = 20_18

Value = tuple[int, int]
"""Source address and destination port of a frame."""


@dataclass(frozen=True)
class Workload:
    """One policy, the frames that it is shown, and which of its counters must have counted them.

    rules    xdpctl's, as YAML lines; nft's, each with {name} for its counter
    defines  of the C program's workload.h
    entries  of the set, as lines of a file of xdpctl's; of nft's `type` otherwise
    share    how many times fewer runs and frames than of rules, as there are many sets
    frames   by what is tried: the values, and the number of the rule that matches (None: default)
    """

    name: str
    rules: tuple[str, ...]
    nft: tuple[str, ...]
    defines: dict[str, str]
    frames: dict[str, tuple[list[Value], int | None]]
    set_type: str = ""
    nft_type: str = ""
    share: int = 1
    entries: list[str] = field(default_factory=list)

    def write_topology(self, folder: Path) -> Path:
        """The topology file, with the set's entries beside it."""
        sets = ""
        if self.entries:
            (folder / "entries.txt").write_text("\n".join(self.entries) + "\n", "ascii")
            sets = f"sets:\n  listed: {{type: {self.set_type}, file: entries.txt}}\n"
        rules = "".join(f"      - {rule}\n" for rule in self.rules)
        file = folder / "bench.yaml"
        file.write_text(
            f"version: 1\nname: bench\ndevices:\n  {NIC}: {{kind: physical}}\n"
            f'  web0: {{kind: macvlan, parent: {NIC}, mode: bridge, address: "{ADDRESS}",'
            " state: up, xdp: {policy: web}}\n"
            f"{sets}policies:\n  web:\n    default: drop\n    rules:\n{rules}",
            "ascii",
        )
        return file

    def write_nft(self, folder: Path, device: str) -> Path:
        """The file for `nft -f`: only the counters of what may match are named ones."""
        lines = ["table netdev bench {"]
        if self.entries:
            listed = ", ".join(line.replace(" ", " . ") for line in self.entries)
            lines.append(f"set listed {{ {self.nft_type} elements = {{ {listed} }} }}")
        lines += [f"counter rule{number} {{}}" for number in range(len(self.nft))]
        lines.append("counter other {}")
        lines.append(f"chain in {{ type filter hook ingress device {device} priority 0;")
        lines += [f"{rule} counter name rule{n} drop" for n, rule in enumerate(self.nft)]
        lines.append("counter name other drop\n}\n}\n")
        file = folder / "bench.nft"
        file.write_text("\n".join(lines), "ascii")
        return file


def of_rules(count: int) -> Workload:
    """Rules of a /16 and a port each, of which only the last takes the frame."""
    numbers = range(count)
    return Workload(
        f"{count} rule{'s' if count > 1 else ''}",
        tuple(
            f"{{match: {{ip4.saddr: 10.{n}.0.0/16, tcp.dport: {8000 + n}}}, action: drop}}"
            for n in numbers
        ),
        tuple(f"ip saddr 10.{n}.0.0/16 tcp dport {8000 + n}" for n in numbers),
        {
            "RULES": " ".join(
                f"RULE({n}, {0x0A00_0000 + (n << 16):#x}, 0xffff0000, {8000 + n})" for n in numbers
            ),
            "COUNTERS": str(count + 2),
        },
        {"last": ([(0x0A00_0101 + (count - 1 << 16), 7999 + count)], count - 1)},
    )


def of_set(kind: str, size: int) -> Workload:
    """One rule with a set; frames of which each is in it, and frames of which none is."""
    pick = random.Random(_SEED + size)
    entries: list[str]
    if kind == "prefix":
        entries, hits, misses = _prefixes(size, pick)
        return _of_set(kind, size, entries, hits, misses, "ip4", "type ipv4_addr; flags interval;")
    if kind == "port":
        numbers = pick.sample(range(65536), 65536)
        hits = [(0x0A00_0001, port) for port in numbers[:size]]
        misses = [(0x0A00_0001, port) for port in numbers[size:]]
        entries = [str(port) for _, port in hits]
        return _of_set(kind, size, entries, hits, misses, "port", "type inet_service;")
    addresses = pick.sample(range(0x0A00_0000, 0x0B00_0000), 2 * size)
    ports = range(1, 65536) if kind == "pair" else range(80, 81)
    hits = [(address, pick.choice(ports)) for address in addresses[:size]]
    misses = [(address, pick.choice(ports)) for address in addresses[size:]]
    if kind == "pair":
        entries = [f"{_text(address)} {number}" for address, number in hits]
        nft = "type ipv4_addr . inet_service;"
        return _of_set(kind, size, entries, hits, misses, "[ip4.saddr, tcp.dport]", nft)
    entries = [_text(address) for address, _ in hits]
    return _of_set(kind, size, entries, hits, misses, "ip4", "type ipv4_addr;")


def of_limit(*, over: bool) -> Workload:
    """A limit that no frame reaches in a run, or that nearly all are over.

    No counter is told beforehand: the first frames of those that are over were not.
    """
    rate = "1/hour burst 1" if over else "100000000/second burst 1000000000"
    cost, burst = (3_600_000_000_000, 1) if over else (10, 1_000_000_000)
    return Workload(
        "limit",
        (f"{{match: {{tcp.dport: 8000}}, action: {{limit: {rate}}}}}",),
        (),
        {"LIMIT_COST": f"{cost}ull", "LIMIT_TOLERANCE": f"{cost * burst}ull", "COUNTERS": "4"},
        {"over" if over else "under": ([(0x0A00_0001, 8000)], None)},
    )


_READS = {
    "address": ("ip4.saddr", "ip saddr", "SET_HASH"),
    "prefix": ("ip4.saddr", "ip saddr", "SET_TRIE"),
    "port": ("tcp.dport", "tcp dport", "SET_BITMAP"),
    "pair": ("set", "ip saddr . tcp dport", "SET_COMPOSITE"),
}
"""xdpctl's key, nft's, and what the C program has."""


def _of_set(
    kind: str,
    size: int,
    entries: list[str],
    hits: list[Value],
    misses: list[Value],
    set_type: str,
    nft_type: str,
) -> Workload:
    key, nft, define = _READS[kind]
    return Workload(
        f"{kind} set of {size:,}",
        (f'{{match: {{{key}: "@listed"}}, action: drop}}',),
        (f"{nft} @listed",),
        {define: "", "ENTRIES": str(size), "COUNTERS": "3"},
        {"hit": (hits[:SAMPLES], 0), "miss": (misses[:SAMPLES], None)},
        set_type,
        nft_type,
        share=4 if size < LARGE else FEWEST,
        entries=entries,
    )


def _prefixes(size: int, pick: random.Random) -> tuple[list[str], list[Value], list[Value]]:
    """Of /28 half of them, of each shorter length half as many, down to /16 (one at least).

    The neighbour of each, which has its length and differs in the last bit alone, is not in it.
    """
    entries: list[str] = []
    hits: list[Value] = []
    misses: list[Value] = []
    at = 0x1000_0000
    for length, count in _lengths(size):
        room = 1 << 32 - length
        at = -(-at // (2 * room)) * (2 * room)
        for _ in range(count):
            entries.append(f"{_text(at)}/{length}")
            hits.append((at + pick.randrange(room), 80))
            misses.append((at + room + pick.randrange(room), 80))
            at += 2 * room
    for each in (entries, hits, misses):
        pick.shuffle(each)
    return entries, hits, misses


def _lengths(size: int) -> Iterator[tuple[int, int]]:
    """Shortest first."""
    left, counts = size, []
    for length in range(28, 16, -1):
        counts.append((length, left // 2))
        left -= left // 2
    yield 16, left
    yield from reversed(counts)


def _text(address: int) -> str:
    return str(ipaddress.IPv4Address(address))
