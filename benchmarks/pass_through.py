"""What passing costs: frames to a socket, TCP and round trips through pipeline and backstop.

    python benchmarks/pass_through.py [--rounds N] [--frames N] [--seconds N] [--json FILE]

Needs root and iperf3. What is compared, and how: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import passers
from bench.passers import Passer, Way
from bench.record import Goal, Record, Row, parser, show, take_turns
from bench.sender import BATCH
from bench.traffic import round_trips, tcp_gigabits

from xdpctl.bpf import links

WARM = 1 << 14
FEW = 7
"""Rounds of what has no goal and takes seconds: it differs by far more than rounds do."""


Figure = Callable[[], float]


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    """All contenders set up, then each thing in turn in each round."""
    with ExitStack() as stack:
        enter = stack.enter_context
        passing = enter(passers.xdpctl(folder)), enter(passers.lone())
        siblings = enter(passers.siblings(folder)), enter(passers.siblings(None))
        generic = enter(passers.lone("generic", links.XDP_FLAGS_SKB_MODE))
        empty = enter(passers.lone("empty tc", with_tc=True))
        bare = enter(passers.xdpctl(folder, "pipeline", policed=False))
        things = list(compared(options, passing, siblings))
        things += parts(options, (empty, bare), passing[1])
        besides = list(xdp_itself(options, (passing[1], generic), enter(passers.nobody())))
        for one in (*passing, empty, bare):
            one.rate(WARM)  # fills the socket's buffer, too
        for number in range(options.rounds):
            for row, figures in (*things, *(besides if number < FEW else ())):
                take_turns((row.ours, row.theirs), figures, number)
        for one in passing:
            one.check(one.sent)
    return [row for row, _ in (*things, *besides)]


def compared(
    options: argparse.Namespace, passing: Sequence[Passer], siblings: Sequence[Way]
) -> Iterator[tuple[Row, list[Figure]]]:
    """What is measured of ours and of the peer's; more is better in all of it."""
    lone, goal = "lone XDP_PASS on the root", Goal("≥", 0.97)
    yield (
        Row("PASS by 10 rules to a UDP socket on the macvlan", "M frames/s", peer=lone, goal=goal),
        [partial(one.rate, options.frames) for one in passing],
    )
    yield (
        Row("PASS by 10 rules, TCP to the macvlan", "Gbit/s", peer=lone, goal=goal),
        [partial(tcp_gigabits, one.client, one.address, options.seconds) for one in passing],
    )
    yield (
        Row("PASS by 10 rules, TCP round trips", "1/s", peer=lone, goal=goal),
        [partial(round_trips, one.client, one.address, options.trips) for one in passing],
    )
    yield (
        Row("TCP between siblings, policies and backstop", "Gbit/s", peer="the same without",
            goal=Goal("≥", 0.95)),
        [partial(tcp_gigabits, one.client, one.address, options.seconds) for one in siblings],
    )  # fmt: skip


def parts(
    options: argparse.Namespace, ours: Sequence[Passer], lone: Passer
) -> Iterator[tuple[Row, list[Figure]]]:
    """What any tc program at the macvlan costs, whatever it does, and the pipeline by itself: no
    goals.
    """
    names = ("a lone XDP_PASS and an empty tc program at the macvlan", "the pipeline alone")
    for one, name in zip(ours, names, strict=True):
        yield (
            Row(f"{name}: UDP", "M frames/s", peer="lone XDP_PASS on the root"),
            [partial(each.rate, options.frames) for each in (one, lone)],
        )


def xdp_itself(
    options: argparse.Namespace, lone: Sequence[Passer], nobody: Passer
) -> Iterator[tuple[Row, list[Figure]]]:
    """What any XDP program costs TCP on this device, whatever it does: no goal."""
    for one, mode in zip(lone, ("native", "generic"), strict=True):
        yield (
            Row(f"a lone XDP_PASS, {mode}: TCP to the macvlan", "Gbit/s", peer="no XDP at all"),
            [partial(tcp_gigabits, each.client, each.address, options.seconds)
             for each in (one, nobody)],
        )  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("needs root: it loads programs and makes network namespaces")
    if shutil.which("iperf3") is None:
        raise SystemExit("needs iperf3")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        record = Record("pass_through", measure(options, Path(folder)))
    print(f"medians of {options.rounds} rounds")
    show(record.rows)
    print(f"in {time.perf_counter() - start:.0f} s")
    if options.json:
        record.write(options.json)


def arguments() -> argparse.Namespace:
    """The command line's."""
    line = parser(__doc__, rounds=15)
    line.add_argument("--frames", type=int, default=1 << 18, help="a contender and round")
    line.add_argument("--seconds", type=float, default=1, help="of TCP a contender and round")
    line.add_argument("--trips", type=int, default=5000, help="a contender and round")
    found = line.parse_args()
    found.frames -= found.frames % BATCH
    if found.rounds < 1 or found.frames < 2 * BATCH:
        line.error(f"at least 1 round of {2 * BATCH} frames")
    return found


if __name__ == "__main__":
    main()
