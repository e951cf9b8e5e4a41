"""Delivery: frames from the NIC into a tap and a container, beside macvtap and macvlan.

    python benchmarks/deliver.py [--rounds N] [--frames N] [--json FILE]

Needs root. What is compared, and how: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from bench.receivers import TURN, Receiver, listening, lone_redirect, program_at, queue
from bench.record import Goal, Record, Row, parser, show, take_turns

UNIT: Final = "M frames/s"
GOAL: Final = Goal("≥", 2)


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    """All receivers set up, then each pair in turn in each round."""
    with ExitStack() as stack:
        enter = stack.enter_context
        veth, macvlan = (enter(program_at(kind, folder)) for kind in ("veth", "macvlan"))
        alone = enter(lone_redirect())
        things: list[tuple[Row, tuple[Receiver, Receiver]]] = [
            (
                Row("NIC to a tap, 10 rules", UNIT, peer="the same to a macvtap", goal=GOAL),
                (enter(queue("tap", folder)), enter(queue("macvtap", folder))),
            ),
            (
                Row("NIC to a veth's end with a program, 10 rules", UNIT,
                    peer="the same to a macvlan", goal=GOAL),
                (veth, macvlan),
            ),
            (
                Row("NIC to a veth's end with a program, 10 rules", UNIT,
                    peer="a lone redirect without a policy"),
                (veth, alone),
            ),
            (
                Row("the limit: a lone redirect without a policy", UNIT, peer="to a macvlan"),
                (alone, macvlan),
            ),
            (
                Row("NIC to a socket behind a veth, 10 rules", UNIT, peer="one behind a macvlan"),
                (enter(listening("veth", folder)), enter(listening("macvlan", folder))),
            ),
        ]  # fmt: skip
        for _, pair in things:
            for one in pair:
                one.rate(TURN)  # warm
        for number in range(options.rounds):
            for row, pair in things:
                takers = [partial(one.rate, options.frames) for one in pair]
                take_turns((row.ours, row.theirs), takers, number)
    return [row for row, _ in things]


def main() -> None:
    """Measure and print."""
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("needs root: it loads programs and makes network namespaces")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        record = Record("deliver", measure(options, Path(folder)))
    print(f"medians of {options.rounds} rounds")
    show(record.rows)
    print(f"in {time.perf_counter() - start:.0f} s")
    if options.json:
        record.write(options.json)


def arguments() -> argparse.Namespace:
    """The command line's."""
    line = parser(__doc__, rounds=7)
    line.add_argument("--frames", type=int, default=1 << 15, help="a receiver and round")
    found = line.parse_args()
    found.frames -= found.frames % TURN
    if found.rounds < 1 or found.frames < TURN:
        line.error(f"at least 1 round of {TURN} frames")
    return found


if __name__ == "__main__":
    main()
