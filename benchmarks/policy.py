"""A policy's time for a frame: xdpctl beside a C program and beside nftables, in one run.

    python benchmarks/policy.py [--rounds N] [--repeat N] [--frames N] [--largest N]
                                [--only TEXT] [--json FILE]

Needs root, clang, bpftool and nft. What is compared, and how: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from bench import contenders, wires
from bench.alone import XDP_DROP
from bench.counters import all_packets, nft_packets, packets
from bench.frames import SOURCE_AND_PORT, packed, segment
from bench.sender import BATCH, Sender, nanoseconds
from bench.workload import (
    FEWEST,
    KINDS,
    MOST_PORTS,
    RULE_COUNTS,
    SIZES,
    Value,
    Workload,
    of_limit,
    of_rules,
    of_set,
)

from xdpctl.bpf import links
from xdpctl.bpf.program import Program

HEAD = (
    f"{'':<30}{'ns a frame, one frame again and again':>46}   {'million frames a second':>44}\n"
    f"{'':<30}{'none':>6}{'policy':>8}{'pipeline':>10}{'C':>7}{'policy/C':>10}"
    f"   {'xdpctl':>13}{'C':>8}{'nft':>8}{'xdpctl/nft':>12}"
)


@dataclass
class Result:
    """One row: nanoseconds a frame of each contender in each round.

    ns    of the program alone, on one frame again and again
    live  on the way from the wire to the counter
    """

    workload: str
    frames: str
    ns: dict[str, list[int]] = field(default_factory=dict)
    live: dict[str, list[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        ns = {name: statistics.median(each) for name, each in self.ns.items()}
        rates = {name: 1e3 / statistics.median(each) for name, each in self.live.items()}
        text = f"{f'{self.workload}, {self.frames}':<30}{ns['none']:>6.0f}{ns['policy']:>8.0f}"
        text += f"{ns['pipeline']:>10.0f}{ns['C']:>7.0f}{ns['policy'] / ns['C']:>9.2f}×"
        if rates:
            text += f"   {rates['xdpctl']:>13.2f}{rates['C']:>8.2f}{rates['nft']:>8.2f}"
            text += f"{rates['xdpctl'] / rates['nft']:>11.2f}×"
        return text


class Benchmark:
    """Runs the workloads in the namespace that we are in."""

    def __init__(self, options: argparse.Namespace, netns: str, folder: Path) -> None:
        self.options = options
        self.netns = netns
        self.folder = folder

    def run(self, workload: Workload, seconds: dict[str, dict[str, float]]) -> Iterator[Result]:
        """All rows of a workload; `seconds` gets what setting it up took."""
        with ExitStack() as stack:
            enter = stack.enter_context
            topology = contenders.read_topology(self.folder, workload)
            none = enter(contenders.verdict(XDP_DROP))
            alone = enter(contenders.policy_alone(topology))
            c = enter(contenders.written_in_c(workload, topology, self.folder))
            ours = enter(contenders.xdpctl(workload, self.folder, self.netns, "eth0"))
            took = seconds[workload.name] = {"C": c.seconds, "xdpctl": ours.seconds}
            programs = {
                "none": none, "policy": alone.program, "pipeline": ours.program, "C": c.program,
            }  # fmt: skip
            counted: dict[str, Callable[[], int]] = {
                "xdpctl": lambda: all_packets(ours.counters),
                "C": lambda: sum(packets(c.counters)),
                "nft": lambda: sum(nft_packets(each) for each in _nft_counters(workload)),
            }
            if workload.nft:
                nic = wires.nic("C")
                enter(links.create(c.program.fd, nic, links.Hook.XDP, links.XDP_FLAGS_DRV_MODE))
                took["nft"] = enter(contenders.nftables(workload, self.folder, self.netns, "eth2"))
            before: dict[str, int] = {}
            share = workload.share
            for what, (values, rule) in workload.frames.items():
                result = Result(workload.name, what)
                repeat, count = self.options.repeat // share, self.options.frames // share
                self._alone(result, programs, values[0], repeat)
                if workload.nft:
                    self._live(result, counted, values, count)
                    name = "default" if rule is None else str(rule + 1)
                    sent = self.options.rounds * (repeat + count)
                    before = self._checked(result, name, sent, before)
                yield result

    def _alone(
        self, result: Result, programs: dict[str, Program], value: Value, repeat: int
    ) -> None:
        for _ in range(self.options.rounds):  # in turn, so that a busy moment meets all of them
            for name, each in programs.items():
                run = each.run(segment(value), repeat=repeat)
                result.ns.setdefault(name, []).append(run.nanoseconds)

    def _live(
        self,
        result: Result,
        counted: dict[str, Callable[[], int]],
        values: list[Value],
        count: int,
    ) -> None:
        with ExitStack() as stack:
            template, parts = segment(values[0]), [packed(value) for value in values]
            senders = {
                name: stack.enter_context(
                    Sender(template, SOURCE_AND_PORT, parts, wires.wire(name))
                )
                for name in counted
            }
            for _ in range(self.options.rounds):
                for name, sender in senders.items():
                    taken = nanoseconds(sender, count, counted[name], name)
                    result.live.setdefault(name, []).append(taken)

    def _checked(
        self, result: Result, rule: str, sent: int, before: dict[str, int]
    ) -> dict[str, int]:
        """What `xdpctl show` says now: the rule that must match has counted every frame."""
        after = contenders.rule_packets(self.netns)
        wanted = dict.fromkeys(after, 0) | {"drop": sent, rule: sent}
        got = {name: after[name] - before.get(name, 0) for name in after}
        if got != wanted:
            wrong = {name: each for name, each in got.items() if each != wanted[name]}
            raise SystemExit(
                f"{result.workload}, {result.frames}: xdpctl counted {wrong}, not {sent} by {rule}"
            )
        return after


def _nft_counters(workload: Workload) -> list[str]:
    return [f"rule{len(workload.nft) - 1}", "other"]


def workloads(only: str, largest: int) -> list[Callable[[], Workload]]:
    """Those whose name has the text in it, with sets up to a size, in the order of the table."""
    made: list[tuple[str, Callable[[], Workload]]] = []
    made += [(f"{count} rules", partial(of_rules, count)) for count in RULE_COUNTS]
    for kind in KINDS:
        most = min(MOST_PORTS, largest) if kind == "port" else largest
        sizes = [size for size in SIZES if size <= most]
        made += [(f"{kind} set of {size:,}", partial(of_set, kind, size)) for size in sizes]
    made += [("limit", partial(of_limit, over=over)) for over in (False, True)]
    return [make for name, make in made if only in name]


def main() -> None:
    """Measure and print."""
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("needs root: it loads programs and makes a network namespace")
    if missing := contenders.missing_tools():
        raise SystemExit(f"needs {', '.join(missing)}")
    chosen = workloads(options.only, options.largest)
    if not chosen:
        raise SystemExit(f"no workload has {options.only!r} in its name")
    start = time.perf_counter()
    results: list[Result] = []
    seconds: dict[str, dict[str, float]] = {}
    print(f"medians of {options.rounds} rounds; {options.repeat:,} runs and {options.frames:,} "
          f"frames a round\n\n{HEAD}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, wires.wires() as netns:
        benchmark = Benchmark(options, netns, Path(folder))
        for make in chosen:
            for result in benchmark.run(make(), seconds):
                results.append(result)
                print(result, flush=True)
    print(f"\n{'setting up, seconds':<30}{'xdpctl apply':>14}{'clang, load':>14}{'nft -f':>10}")
    for name, taken in seconds.items():
        nft = f"{taken['nft']:>10.2f}" if "nft" in taken else ""
        print(f"{name:<30}{taken['xdpctl']:>14.2f}{taken['C']:>14.2f}{nft}")
    print(f"\nin {time.perf_counter() - start:.0f} s")
    if options.json:
        write_json(options, results, seconds)


def write_json(
    options: argparse.Namespace, results: list[Result], seconds: dict[str, dict[str, float]]
) -> None:
    """Every figure of every round."""
    document = {
        "format": 1,
        "kernel": platform.release(),
        "rounds": options.rounds,
        "repeat": options.repeat,
        "frames": options.frames,
        "results": [asdict(result) for result in results],
        "setup_seconds": seconds,
    }
    Path(options.json).write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=1_000_000, help="runs on one frame a round")
    parser.add_argument("--frames", type=int, default=1 << 20, help="live frames a round")
    parser.add_argument("--only", default="", help="workloads whose name has this text in it")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="entries of a set at most")
    parser.add_argument("--json", help="write every figure to this file")
    found = parser.parse_args()
    least = 2 * BATCH * FEWEST  # the rate is taken between the first batch and the last
    if found.rounds < 1 or min(found.repeat, found.frames) < least:
        parser.error(f"at least 1 round, of {least} runs and frames")
    found.frames -= found.frames % (BATCH * FEWEST)
    return found


if __name__ == "__main__":
    main()
