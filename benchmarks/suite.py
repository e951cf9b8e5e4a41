"""All benchmarks one after the other: one table with goals and peers, one JSON, one plot.

    python benchmarks/suite.py [--out DIRECTORY] [--only SCRIPT]...

Needs root, clang, bpftool, nft, iperf3 and strace. Takes up to a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.record import machine, read_rows, show
from measure import ENVIRONMENT

HERE: Final = Path(__file__).parent
PLOT: Final = "dispatch.svg"
SCRIPTS: Final[dict[str, list[str]]] = {
    "startup": [],
    "compile": ["--rounds", "3"],
    "dispatch": ["--plot", PLOT],
    "pass_through": [],
    "deliver": [],
    "control": [],
    "policy": ["--only", " rules", "--rounds", "5", "--repeat", "200000", "--frames", "262144"],
}
"""What each is run with; all of `policy.py` would take longer than everything else."""
TOOLS: Final = ("clang", "bpftool", "nft", "iperf3", "strace", "ip")


def run(script: str, out: Path) -> tuple[dict[str, Any], float]:
    """What a script has measured, and the seconds that it took. It prints by itself."""
    print(f"\n== {script}.py", flush=True)
    start = time.perf_counter()
    # The figures go to files of their own, the way there is the script's.
    command = [sys.executable, str(HERE / f"{script}.py"), *SCRIPTS[script], "--json",
               f"{script}.json"]  # fmt: skip
    running = subprocess.Popen(command, cwd=out, env=ENVIRONMENT)
    # Who is interrupted still takes his devices away; a terminal interrupts both of us.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: running.terminate())
    if code := running.wait():
        raise SystemExit(f"{script}.py: exit {code}")
    document = json.loads((out / f"{script}.json").read_text("utf-8"))
    return document, time.perf_counter() - start


def main() -> None:
    """Run, print the table, write the JSON."""
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("needs root: it loads programs and makes network namespaces")
    if missing := [name for name in TOOLS if shutil.which(name) is None]:
        raise SystemExit(f"needs {', '.join(missing)}")
    out = Path(options.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    found = {name: run(name, out) for name in options.only or SCRIPTS}
    rows = [row for document, _ in found.values() for row in read_rows(document)]
    print(f"\n== all, medians; {os.cpu_count()} processors, kernel {os.uname().release}")
    show([row for row in rows if row.goal is not None])
    print("\nwithout a goal:")
    show([row for row in rows if row.goal is None])
    whole = {
        "format": 1,
        "machine": machine(),
        "seconds": {name: taken for name, (_, taken) in found.items()},
        "scripts": {name: document for name, (document, _) in found.items()},
    }
    (out / "results.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    parts = ", ".join(f"{name} {taken:.0f} s" for name, (_, taken) in found.items())
    print(f"\nin {time.perf_counter() - start:.0f} s: {parts}\nfigures and plot are in {out}")


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", default="build/bench", help="where JSON and plot go")
    parser.add_argument("--only", action="append", choices=SCRIPTS, help="some of the scripts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
