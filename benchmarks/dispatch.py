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
from pathlib import Path
from typing import Final

from bench import dispatchers
from bench.chart import Line, line_chart
from bench.dispatchers import Contender
from bench.fleet import Fleet
from bench.record import Goal, Record, Row, show

CURVE: Final = (1, 64, 1024, 4096, 16384)
"""Devices; powers of two, so that each gets as many frames as any other."""
POLICIES: Final = 8
MANY: Final = 4096
LEAST: Final = CURVE[-1] * 4
UNIT: Final = "M frames/s"
Rates = dict[str, list[float]]
Curves = dict[str, dict[int, list[float]]]


class Benchmark:
    """Every contender set up once; then groups of them in turn in each round."""

    def __init__(self, most: int, folder: Path, stack: ExitStack) -> None:
        enter = stack.enter_context
        self.sizes = [size for size in CURVE if size <= most]
        self.lone = enter(dispatchers.lone())
        self.ours: dict[int, Contender] = {}
        self.calls: dict[int, Contender] = {}
        for size in self.sizes:
            fleet = Fleet(size, min(size, POLICIES))
            print(f"setting up {size:,} devices", flush=True)
            self.ours[size] = enter(dispatchers.xdpctl(fleet, folder))
            self.calls[size] = enter(dispatchers.tail_calls(fleet, folder))
        self.many = min(MANY, self.sizes[-1])
        print(f"setting up {self.many:,} devices with as many policies", flush=True)
        self.own = enter(dispatchers.xdpctl(Fleet(self.many, self.many), folder))
        self.generic = enter(dispatchers.generic(folder))
        self.nft = enter(dispatchers.nftables(folder))

    def groups(self) -> dict[str, list[Contender]]:
        """Those that are compared run one right after the other."""
        first, many = self.ours[1], self.ours[self.many]
        return {
            "flat": [many, first],
            "skb": [first, self.generic, self.nft],
            "own": [self.lone, self.own],
            **{str(n): [self.lone, self.ours[n], self.calls[n]] for n in self.sizes},
        }

    def run(self, rounds: int, frames: int) -> dict[str, list[list[float]]]:
        """By group and contender, the rate in each round."""
        groups = self.groups()
        for each in {id(one): one for group in groups.values() for one in group}.values():
            each.rate(LEAST)  # warm caches for everybody
        rates: dict[str, list[list[float]]] = {
            name: [[] for _ in group] for name, group in groups.items()
        }
        for _ in range(rounds):
            for name, group in groups.items():
                for found, each in zip(rates[name], group, strict=True):
                    found.append(each.rate(frames))
        for each in (*self.ours.values(), *self.calls.values(), self.own):
            each.check(each.sent)
        return rates


def rows(rates: dict[str, list[list[float]]], most: int) -> list[Row]:
    """The comparisons with the goals."""
    many = f"{most:,} macvlans"
    lone, one, _ = rates["1"]
    lone_many, eight, _ = rates[str(most)]
    flat, flat_one = rates["flat"]
    skb, generic, nft = rates["skb"]
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
    ]  # fmt: skip


def curves(rates: dict[str, list[list[float]]], sizes: Sequence[int]) -> Curves:
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
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        benchmark = Benchmark(options.most, Path(folder), stack)
        ready = time.perf_counter()
        rates = benchmark.run(options.rounds, options.frames)
        done = time.perf_counter()
    found = curves(rates, benchmark.sizes)
    text = {name: {str(size): it for size, it in each.items()} for name, each in found.items()}
    record = Record("dispatch", rows(rates, benchmark.many) + curve_rows(found), {"curve": text})
    print(f"medians of {options.rounds} rounds of {options.frames:,} frames")
    show(record.rows)
    end = time.perf_counter()
    print(f"set up in {ready - start:.0f} s, measured in {done - ready:.0f} s, "
          f"taken away in {end - done:.0f} s")  # fmt: skip
    if options.json:
        record.write(options.json)
    if options.plot:
        Path(options.plot).write_text(plot(text), "utf-8")


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=1 << 20, help="a contender and round")
    parser.add_argument("--most", type=int, default=CURVE[-1], help="devices of the largest fleet")
    parser.add_argument("--json", help="write every figure to this file")
    parser.add_argument("--plot", help="write the curve to this SVG file")
    found = parser.parse_args()
    found.frames -= found.frames % LEAST
    if found.rounds < 1 or found.frames < LEAST or found.most < 1:
        parser.error(f"at least 1 round of {LEAST} frames and 1 device")
    return found


if __name__ == "__main__":
    main()
