"""Run tests on a kernel: `python -m tests.vm [--series 6.12 | --kernel IMAGE --modules DIR]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.vm import kernels, suite
from tests.vm.errors import UnavailableError


def main() -> int:
    """0: every test passed or was skipped; 1: not; 2: there is no emulator or kernel."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    parser.add_argument("--series", default="6.1", help="of Debian's kernels: 6.1 or 6.12")
    parser.add_argument("--kernel", type=Path, help="a kernel image instead (bzImage, vmlinuz)")
    parser.add_argument("--modules", type=Path, help="its lib/modules/RELEASE")
    parser.add_argument("--seconds", type=float, default=1800, help="time that it may take")
    parser.add_argument("--console", type=Path, help="file for all that the guest printed")
    parser.add_argument("arguments", nargs="*", help="for pytest in the guest (after --)")
    given = parser.parse_args()
    if (given.kernel is None) != (given.modules is None):
        parser.error("--kernel and --modules go together")
    start = time.monotonic()
    try:
        kernel = (
            kernels.given(given.kernel, given.modules)
            if given.kernel
            else kernels.debian(given.series)
        )
        say(f"{kernel.release}: starting")
        done = suite.run(kernel, given.arguments or suite.TESTS, seconds=given.seconds, each=tell)
    except UnavailableError as error:
        say(f"cannot run: {error}")
        return 2
    if given.console:
        given.console.write_text(done.console)
    count = Counter(result.outcome for result in done.results)
    took = time.monotonic() - start
    say(f"{kernel.release}: {dict(count)} in {took:.0f} s")
    if done.broken:
        say(done.broken)
    return 1 if done.broken or count["failed"] or not count["passed"] else 0


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(result: suite.Result) -> None:
    """A line for each test, and the reason of what did not pass."""
    say(f"{result.outcome:8}{result.seconds:7.2f} s  {result.test}")
    if result.outcome != "passed":
        say(result.text)


if __name__ == "__main__":
    sys.exit(main())
