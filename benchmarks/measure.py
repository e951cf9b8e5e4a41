"""What the benchmarks share: namespaces of their own, running commands, timing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from xdpctl.bpf.pins import ROOT

XDPCTL = [sys.executable, "-m", "xdpctl"]
# With bytecode kept, as everybody has it, whatever the caller's environment says.
ENVIRONMENT = {name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed; its output."""
    done = subprocess.run(
        command, input=stdin, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done


def seconds(*command: str, stdin: str | None = None) -> float:
    """Wall-clock time of one command, from its start as a process to its end."""
    start = time.perf_counter()
    run(*command, stdin=stdin)
    return time.perf_counter() - start


@contextmanager
def namespace(suffix: str) -> Iterator[str]:
    """A network namespace with the NIC `eth0` (one end of a veth pair), gone afterwards."""
    name = f"xbench-{os.getpid()}-{suffix}"
    # Who is told to end takes away first what he has made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "wire0")
        run("ip", "-n", name, "link", "set", "wire0", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        yield name
    finally:
        # With the NIC go all devices on it, at once. Left to the namespace's end, they would go
        # when the next measurement is running.
        run("ip", "-n", name, "link", "delete", "eth0")
        run("ip", "netns", "delete", name)
        shutil.rmtree(ROOT / name, ignore_errors=True)
