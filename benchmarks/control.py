"""What the control plane takes with 4,096 macvlans: apply, plan, one change, memory.

    python benchmarks/control.py [--devices N] [--rounds N] [--json FILE]

Needs root and strace. What is compared, and how: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from bench.fleet import NIC, Fleet
from bench.footprint import Footprint
from bench.processes import Took, calm, took, writes
from bench.record import Goal, Record, Row, parser, show
from bench.rules import Rule, rules
from measure import XDPCTL, namespace, seconds

POLICIES: Final = 8
ENTRIES: Final = 1000
"""Of the set that one policy looks into."""
SECOND, MEGABYTES = Goal("<", 1, own=True), Goal("<", 150, own=True)


@dataclass(frozen=True)
class Wanted:
    """A topology: a fleet, and what is changed in it one at a time."""

    fleet: Fleet
    devices: int = 0
    edits: int = 0
    entries: int = ENTRIES

    def text(self) -> str:
        """Its file."""
        more = [
            f"  more{number}: {{kind: macvlan, parent: {NIC}, mode: bridge, "
            f'address: "02:00:00:99:00:{number:02x}", state: up, xdp: {{policy: p0}}}}'
            for number in range(self.devices)
        ]
        listed = ", ".join(str(IPv4Address("10.0.0.0") + 7 * n) for n in range(self.entries))
        return (
            self.fleet.topology(more, self._rules)
            + f"sets:\n  blocked: {{type: ip4, entries: [{listed}]}}\n"
        )

    def _rules(self, number: int) -> Sequence[Rule]:
        found = rules(number)
        if number == 0:
            found[3] = Rule("dns", f"udp.sport: {53 + self.edits}", "")
            found[8] = Rule("bad", 'ip4.saddr: "@blocked"', "", "drop")
        return found


class Benchmark:
    """Runs xdpctl on topologies in the namespace of this name."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._file = folder / "topology.yaml"
        self._command = [*XDPCTL, "--netns", name, "-o", "json"]

    def apply(self, wanted: Wanted) -> Took:
        """The file applied, which must have changed something."""
        self._file.write_text(wanted.text(), "ascii")
        found = took(*self._command, "apply", "--yes", str(self._file))
        if not json.loads(found.output)["changed"]:
            raise SystemExit("an apply of something new has changed nothing")
        return found

    def plan(self, wanted: Wanted) -> Took:
        """A plan, which must find nothing to do."""
        self._file.write_text(wanted.text(), "ascii")
        found = took(*self._command, "plan", str(self._file))
        document = json.loads(found.output)
        if document["changed"]:
            raise SystemExit(f"a plan after an apply has changes: {document['summary']}")
        return found

    def show(self, wanted: Wanted) -> Took:
        """The live state with all counters, which must have every device."""
        found = took(*self._command, "show", wanted.fleet.name)
        shown = json.loads(found.output)["devices"]
        if len(shown) != wanted.fleet.devices + 1:
            raise SystemExit(
                f"of {wanted.fleet.devices} devices and their NIC {len(shown)} are shown"
            )
        return found

    def writes(self, wanted: Wanted) -> str:
        """What an apply of this writes, in words."""
        self._file.write_text(wanted.text(), "ascii")
        found = writes(self.name, *self._command, "apply", "--yes", str(self._file))
        return f"writes: {found['netlink']} netlink messages, {found['bpf']} bpf"


def measure(devices: int, rounds: int, folder: Path) -> list[Row]:
    """From nothing in turn with `ip -batch`; then, all being there, what is left."""
    wanted = Wanted(Fleet(devices, min(devices, POLICIES)))
    what = f"{devices:,} macvlans"
    made = Row(f"apply {what} with policies from nothing", "s", peer="ip -batch: the same devices",
               goal=Goal("≤", 0.6))  # fmt: skip
    memory = Row("memory of this apply", "MB", goal=MEGABYTES)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds} from nothing", flush=True)
        with namespace("ip") as name:
            batch = wanted.fleet.batch()
            made.theirs.append(seconds("ip", "-n", name, "-batch", "-", stdin=batch))
        with namespace("xdpctl") as name:
            benchmark = Benchmark(name, folder)
            found = benchmark.apply(wanted)
            made.ours.append(found.seconds)
            memory.ours.append(found.megabytes)
            if number == rounds - 1:
                rest = with_all_there(benchmark, wanted, rounds, what)
    return [made, memory, *rest]


def with_all_there(benchmark: Benchmark, wanted: Wanted, rounds: int, what: str) -> list[Row]:
    """A plan with nothing to do, single changes, the kernel's memory."""
    plan = Row(f"plan with nothing to do, {what}", "s", peer="ip -d -j link", goal=SECOND)
    memory = Row("memory of this plan", "MB", goal=MEGABYTES)
    shown = Row(f"show with all counters, {what}", "s")
    print(f"waited {calm():.0f} s for the host to be calm", flush=True)
    benchmark.plan(wanted)  # once for the page cache
    for _ in range(rounds):
        plan.theirs.append(seconds("ip", "-n", benchmark.name, "-d", "-j", "link"))
        found = benchmark.plan(wanted)
        plan.ours.append(found.seconds)
        memory.ours.append(found.megabytes)
        shown.ours.append(benchmark.show(wanted).seconds)
    size = Footprint().of(benchmark.name, wanted.fleet.name)
    kernel = Row("kernel's memory a device for maps and programs", "kB",
                 [size / 1e3 / wanted.fleet.devices], note=f"{size / 1e6:.1f} MB")  # fmt: skip
    return [plan, memory, shown, kernel, *changes(benchmark, wanted, rounds, what)]


def changes(benchmark: Benchmark, wanted: Wanted, rounds: int, what: str) -> list[Row]:
    """One change after another, each kind in turn; the last of each under strace."""
    kinds = {"device added": "devices", "policy changed": "edits", "set entry added": "entries"}
    rows = {name: Row(f"apply: one {name}, {what}", "s", goal=SECOND) for name in kinds}
    largest = Row("memory of these applies", "MB", goal=MEGABYTES)
    for number in range(rounds + 1):
        for name, field in kinds.items():
            wanted = replace(wanted, **{field: getattr(wanted, field) + 1})
            if number < rounds:
                found = benchmark.apply(wanted)
                rows[name].ours.append(found.seconds)
                largest.ours.append(found.megabytes)
            else:
                rows[name].note = benchmark.writes(wanted)
    benchmark.plan(wanted)
    return [*rows.values(), largest]


def main() -> None:
    """Measure and print."""
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("needs root: it makes network namespaces")
    if shutil.which("strace") is None:
        raise SystemExit("needs strace")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        record = Record("control", measure(options.devices, options.rounds, Path(folder)))
    print(f"medians of {options.rounds} rounds")
    show(record.rows)
    print(f"in {time.perf_counter() - start:.0f} s")
    if options.json:
        record.write(options.json)


def arguments() -> argparse.Namespace:
    """The command line's."""
    line = parser(__doc__, rounds=5)
    line.add_argument("--devices", type=int, default=4096)
    found = line.parse_args()
    if found.rounds < 1 or found.devices < 1 or found.devices % min(found.devices, POLICIES):
        line.error(f"at least 1 round; devices for {POLICIES} policies")
    return found


if __name__ == "__main__":
    main()
