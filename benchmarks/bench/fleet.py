"""Macvlans on one NIC with policies of ten rules: as a topology, for `ip -batch`, for nftables."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.rules import Rule, rules

NIC, WIRE = "eth0", "wire0"
SAMPLES: Final = 1 << 16
"""Frames until a sender starts anew: so many for every fleet, that senders differ in nothing."""
_FIRST: Final = 0x0200_0001_0001
_SEED: Final = 20_18


@dataclass(frozen=True)
class Fleet:
    """So many macvlans, an equal share with each of so many policies."""

    devices: int
    policies: int

    @property
    def name(self) -> str:
        """The topology's."""
        return f"fleet{self.devices}x{self.policies}"

    @property
    def share(self) -> int:
        """Devices of each policy."""
        return self.devices // self.policies

    def names(self) -> Iterator[str]:
        """The devices', by policy."""
        for policy in range(self.policies):
            yield from (f"p{policy}n{number}" for number in range(1, self.share + 1))

    def addresses(self) -> list[bytes]:
        """In the same order."""
        return [(_FIRST + number).to_bytes(6) for number in range(self.devices)]

    def random_addresses(self) -> list[bytes]:
        """Each as often as any other, in an order that nobody foresees."""
        pick, addresses = random.Random(_SEED), self.addresses()
        found: list[bytes] = []
        while len(found) < SAMPLES:
            pick.shuffle(addresses)
            found += addresses
        return found

    def topology(
        self, more: Sequence[str] = (), rules_of: Callable[[int], Sequence[Rule]] = rules
    ) -> str:
        """The file's text: a range of devices for each policy, and more devices."""
        lines = ["version: 1", f"name: {self.name}", "devices:", f"  {NIC}: {{kind: physical}}"]
        lines += more
        for policy in range(self.policies):
            base = (_FIRST - 1 + policy * self.share).to_bytes(6).hex(":")
            lines.append(
                f"  p{policy}n[1-{self.share}]: {{kind: macvlan, parent: {NIC}, mode: bridge, "
                f'address: {{base: "{base}"}}, state: up, xdp: {{policy: p{policy}}}}}'
            )
        lines.append("policies:")
        for policy in range(self.policies):
            lines += policy_lines(f"p{policy}", rules_of(policy))
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> str:
        """The name of the topology's file."""
        file = folder / f"{self.name}.yaml"
        file.write_text(self.topology(), "ascii")
        return str(file)

    def batch(self) -> str:
        """The same devices for `ip -batch`, each created and set up in turn."""
        lines = []
        for name, address in zip(self.names(), self.addresses(), strict=True):
            lines.append(
                f"link add link {NIC} name {name} address {address.hex(':')} "
                "type macvlan mode bridge"
            )
            lines.append(f"link set {name} up")
        return "\n".join(lines) + "\n"


def policy_lines(name: str, found: Sequence[Rule]) -> list[str]:
    """A policy as it stands in the file."""
    return [
        f"  {name}:", "    default: drop", "    rules:",
        *(
            f"      - {{name: {rule.name}, match: {{{rule.match}}}, action: {rule.action}}}"
            for rule in found
        ),
    ]  # fmt: skip


def nft_chain(number: int, device: str) -> str:
    """The policy of this number on a device's ingress hook; each rule has a counter."""
    found = rules(number)
    lines = ["table netdev bench {"]
    lines += [f"counter rule_{rule.name} {{}}" for rule in found]
    lines.append(f"chain in {{ type filter hook ingress device {device} priority 0; policy drop;")
    for rule in found:
        verdict = "accept" if rule.action == "pass" else "drop"
        lines.append(f"{rule.nft} counter name rule_{rule.name} {verdict}")
    return "\n".join([*lines, "}", "}"]) + "\n"
