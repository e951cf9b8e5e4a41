"""What is measured, as rows of one table: every figure of every round, and the goals."""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from measure import XDPCTL, run

TESTS: Final = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}
HEAD: Final = (
    f"{'what':<52} {'unit':<10} {'ours':>8}  {'peer':<28} {'':>8} {'ratio':>7}  {'goal':<9} reached"
)


@dataclass(frozen=True)
class Goal:
    """A bound of the ratio to the peer, or of our own figure."""

    test: str
    bound: float
    own: bool = False


@dataclass
class Row:
    """One comparison: our figure and the peer's in each round, in which they ran in turn."""

    what: str
    unit: str
    ours: list[float] = field(default_factory=list)
    peer: str = ""
    theirs: list[float] = field(default_factory=list)
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios: what disturbs one round disturbs both."""
        if not self.theirs:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def reached(self) -> bool | None:
        """None: there is no goal."""
        if self.goal is None:
            return None
        value = statistics.median(self.ours) if self.goal.own else self.ratio
        return value is not None and bool(TESTS[self.goal.test](value, self.goal.bound))

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.3f}"
        theirs = _figure(self.theirs) if self.theirs else ""
        text = f"{self.what:<52} {self.unit:<10} {_figure(self.ours):>8}  {self.peer:<28} "
        text += f"{theirs:>8} {ratio:>7}  "
        if self.goal is not None:
            unit = f" {self.unit}" if self.goal.own else ""
            text += f"{f'{self.goal.test} {self.goal.bound:g}{unit}':<9} "
            text += "yes" if self.reached else "NO"
        return f"{text:<{len(HEAD)}}  {self.note}".rstrip()


@dataclass
class Record:
    """What a script leaves behind: rows, and what else belongs to them."""

    script: str
    rows: list[Row] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self, file: str) -> None:
        """As JSON, with the machine and the versions of what ran."""
        document = {
            "format": 1,
            "script": self.script,
            "machine": machine(),
            "rows": [
                asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in self.rows
            ],
            **self.extra,
        }
        Path(file).write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def read_rows(document: dict[str, Any]) -> list[Row]:
    """The rows of a document that `write` has written."""
    found = []
    for each in document.get("rows", []):
        fields = {name: it for name, it in each.items() if name not in ("ratio", "reached")}
        goal = Goal(**fields.pop("goal")) if fields["goal"] else fields.pop("goal")
        found.append(Row(**fields, goal=goal))
    return found


def parser(documentation: str | None, rounds: int) -> argparse.ArgumentParser:
    """What every script takes."""
    found = argparse.ArgumentParser(description=(documentation or "").partition("\n")[0])
    found.add_argument("--rounds", type=int, default=rounds)
    found.add_argument("--json", help="write every figure to this file")
    return found


def take_turns(
    figures: Sequence[list[float]], takers: Sequence[Callable[[], float]], number: int
) -> None:
    """One round: each is measured right after the other, in every second round backwards."""
    pairs = list(zip(figures, takers, strict=True))
    for found, take in reversed(pairs) if number % 2 else pairs:
        found.append(take())


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(HEAD)
    for row in rows:
        print(row)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "model": _model(),
        "python": platform.python_version(),
        "versions": {name: _said(*command) for name, command in _VERSIONS.items()},
        "load": os.getloadavg(),
    }


_VERSIONS: Final = {
    "xdpctl": [*XDPCTL, "--version"],
    "iproute2": ["ip", "-V"],
    "nftables": ["nft", "--version"],
    "iperf3": ["iperf3", "--version"],
    "clang": ["clang", "--version"],
}


def _said(*command: str) -> str | None:
    """The first line; None where there is no such command."""
    return run(*command).stdout.partition("\n")[0] if shutil.which(command[0]) else None


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


def _figure(values: Sequence[float]) -> str:
    value = statistics.median(values)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"
