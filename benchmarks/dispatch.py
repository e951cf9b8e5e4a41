"""Frames that devices' own policies drop, a second: one device to 16,384, beside the peers.

    python benchmarks/dispatch.py [--rounds N] [--frames N] [--most N] [--json FILE] [--plot FILE]

Needs root and nft. What is compared, and how: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from bench import dispatchers
from bench.chart import Line, line_chart
from bench.dispatchers import Contender
from bench.fleet import Fleet
from bench.record import Goal, Record, Row, parser, show, take_turns

CURVE: Final = (1, 64, 1024, 4096, 16384)
"""Devices; powers of two, so that each gets as many frames as any other."""
POLICIES: Final = 8
MANY: Final = 4096
LEAST: Final = CURVE[-1] * 4
UNIT: Final = "M frames/s"
Rates = dict[str, list[list[float]]]
"""By group, of each contender the rate in each round."""
Curves = dict[str, dict[int, list[float]]]


START: Final = time.perf_counter()


def progress(what: str) -> None:
    """Say what goes on, and when."""
    print(f"{time.perf_counter() - START:5.0f} s  {what}", flush=True)


class Setting:
    """Contenders that are there at the same time, as groups of those that are compared."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._enter = stack.enter_context
        self.lone = self._enter(dispatchers.lone())
        self.groups: dict[str, list[Contender]] = {}

    def add_size(self, size: int) -> Contender:
        """A point of the curve: so many devices, the usual number of policies."""
        fleet = Fleet(size, min(size, POLICIES))
        progress(f"setting up {size:,} devices")
        ours = self._enter(dispatchers.xdpctl(fleet, self._folder))
        calls = self._enter(dispatchers.tail_calls(fleet, self._folder))
        self.groups[str(size)] = [self.lone, ours, calls]
        return ours

    def add_own(self, size: int) -> None:
        """So many devices, with as many policies."""
        progress(f"setting up {size:,} devices with as many policies")
        self.groups["own"] = [
            self.lone, self._enter(dispatchers.xdpctl(Fleet(size, size), self._folder)),
        ]  # fmt: skip

    def add_peers(self, one: Contender, many: Contender) -> None:
        """What is there without xdpctl, and the flatness."""
        self.groups["flat"] = [many, one]
        self.groups["skb"] = [
            one,
            self._enter(dispatchers.generic(self._folder)),
            self._enter(dispatchers.nftables(self._folder)),
            self.lone,
        ]

    def run(self, rounds: int, frames: int) -> Rates:
        """By group and contender, the rate in each round: a group's run one after the other."""
        progress("measuring")
        everybody = {id(one): one for group in self.groups.values() for one in group}.values()
        for each in everybody:
            each.rate(LEAST)  # warm caches
        rates: Rates = {name: [[] for _ in group] for name, group in self.groups.items()}
        for number in range(rounds):
            for name, group in self.groups.items():
                take_turns(rates[name], [partial(each.rate, frames) for each in group], number)
        for each in everybody:
            each.check(each.sent)
        return rates


def measure(options: argparse.Namespace, folder: Path) -> Rates:
    """Three settings, one after the other: devices slow down the setting up of others."""
    sizes = [size for size in CURVE if size <= options.most]
    many = min(MANY, sizes[-1])
    rates: Rates = {}
    with ExitStack() as stack:
        setting = Setting(folder, stack)
        points = {size: setting.add_size(size) for size in sizes if size <= many}
        setting.add_peers(points[1], points[many])
        rates |= setting.run(options.rounds, options.frames)
    with ExitStack() as stack:
        setting = Setting(folder, stack)
        setting.add_own(many)
        rates |= setting.run(options.rounds, options.frames)
    for size in sizes[len(points) :]:
        with ExitStack() as stack:
            setting = Setting(folder, stack)
            setting.add_size(size)
            rates |= setting.run(options.rounds, options.frames)
    return rates


def rows(rates: Rates, most: int) -> list[Row]:
    """The comparisons with the goals, and what a program that does nothing would reach of two."""
    many = f"{most:,} macvlans"
    lone, one, _ = rates["1"]
    lone_many, eight, _ = rates[str(most)]
    flat, flat_one = rates["flat"]
    skb, generic, nft, lone_skb = rates["skb"]
    lone_own, own = rates["own"]
    alone = "lone XDP_DROP"
    return [
        Row(f"drop by 10 rules, {many}, 8 policies", UNIT, eight, alone, lone_many,
            Goal("≥", 0.8)),
        Row("drop by 10 rules, 1 macvlan", UNIT, one, alone, lone, Goal("≥", 0.9)),
        Row(f"drop by 10 rules, {many}, 8 policies", UNIT, flat, "the same, 1 macvlan", flat_one,
            Goal("≥", 0.85)),
        Row("drop by 10 rules, 1 macvlan", UNIT, skb, "generic XDP on the macvlan", generic,
            Goal("≥", 3)),
        Row("drop by 10 rules, 1 macvlan", UNIT, skb, "nft, ingress of the macvlan", nft,
            Goal("≥", 6)),
        Row(f"drop by 10 rules, {many}, {most:,} policies", UNIT, own, alone, lone_own,
            Goal("≥", 0.5)),
        Row("the limit: a lone XDP_DROP", UNIT, lone_skb, "generic XDP on the macvlan", generic),
        Row("the limit: a lone XDP_DROP", UNIT, lone_skb, "nft, ingress of the macvlan", nft),
    ]  # fmt: skip


def curves(rates: Rates, sizes: Sequence[int]) -> Curves:
    """By contender and number of devices, the rate in each round."""
    names = ("lone XDP_DROP", "xdpctl", "hash, then tail call")
    return {
        name: {size: rates[str(size)][index] for size in sizes} for index, name in enumerate(names)
    }


def curve_rows(found: Curves) -> list[Row]:
    """The curve's points beside what one writes first; no goals."""
    return [
        Row(f"curve: {size:,} macvlans", UNIT, found["xdpctl"][size], peer, found[peer][size])
        for size in found["xdpctl"]
        for peer in found
        if peer != "xdpctl"
    ]


def plot(found: dict[str, dict[str, list[float]]]) -> str:
    """The curve as SVG, from what stands in the JSON."""
    lines = [
        Line(name, [(int(size), statistics.median(each)) for size, each in points.items()])
        for name, points in found.items()
    ]
    return line_chart(
        "Frames dropped by the device's own policy of 10 rules (8 policies)",
        "macvlans on one NIC", "million frames a second", lines,
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("needs root: it loads programs and makes network namespaces")
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(options, Path(folder))
    sizes = [int(name) for name in rates if name.isdecimal()]
    found = curves(rates, sizes)
    text = {name: {str(size): it for size, it in each.items()} for name, each in found.items()}
    many = min(MANY, sizes[-1])
    record = Record("dispatch", rows(rates, many) + curve_rows(found), {"curve": text})
    print(f"medians of {options.rounds} rounds of {options.frames:,} frames")
    show(record.rows)
    progress("done")
    if options.json:
        record.write(options.json)
    if options.plot:
        Path(options.plot).write_text(plot(text), "utf-8")


def arguments() -> argparse.Namespace:
    """The command line's."""
    line = parser(__doc__, rounds=15)
    line.add_argument("--frames", type=int, default=1 << 18, help="a contender and round")
    line.add_argument("--most", type=int, default=CURVE[-1], help="devices of the largest fleet")
    line.add_argument("--plot", help="write the curve to this SVG file")
    found = line.parse_args()
    found.frames -= found.frames % LEAST
    if found.rounds < 1 or found.frames < LEAST or found.most < 1:
        line.error(f"at least 1 round of {LEAST} frames and 1 device")
    return found


if __name__ == "__main__":
    main()
