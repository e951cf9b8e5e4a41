"""What a command takes and writes: seconds, memory, calls that change something in the kernel."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measure import ENVIRONMENT, run

from xdpctl.host import netns

CALM: Final = 0.95
"""Of the processors' time that nobody uses: the host has nothing to do of its own."""
PATIENCE: Final = 300
"""Seconds to wait for that."""
_IDLE: Final = (3, 4)
"""Columns of /proc/stat: idle, iowait."""

_BPF_READS: Final = re.compile(
    r"BPF_(\w+_GET_\w+|OBJ_GET\w*|MAP_LOOKUP_(?!AND_DELETE)\w+|\w+_QUERY)"
)


@dataclass(frozen=True)
class Took:
    """What a command took: wall-clock seconds, its most memory in MB; and what it has said."""

    seconds: float
    megabytes: float
    output: str


def took(*command: str) -> Took:
    """Run a command that has to succeed."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaint,
    ):
        start = time.perf_counter()
        running = subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=complaint)
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.perf_counter() - start
        running.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        complaint.seek(0)
        if running.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {running.returncode}\n{complaint.read()}")
        return Took(seconds, usage.ru_maxrss / 1024, output.read())


def calm() -> float:
    """Wait until the host is; the seconds that took. The kernel sends for each new device with IPv6
    what macvlan copies to each of the others: thousands of them keep it busy for a minute or two.
    """
    start = time.perf_counter()
    while (waited := time.perf_counter() - start) < PATIENCE:
        before = _ticks()
        time.sleep(2)
        passed = [after - then for after, then in zip(_ticks(), before, strict=True)]
        if sum(passed[column] for column in _IDLE) >= CALM * sum(passed):
            return waited
    raise SystemExit(f"the host has been busy with other things for {PATIENCE} s")


def _ticks() -> list[int]:
    """Of all processors: user, nice, system, idle, iowait, irq, softirq, steal."""
    line = Path("/proc/stat").read_text("ascii").splitlines()[0]
    return [int(number) for number in line.split()[1:9]]


def writes(name: str, *command: str) -> Counter[str]:
    """What a command writes, as strace sees it: by bpf(2) command, by netlink message."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as log:
        # strace can tell a netlink socket only in its own namespace.
        with netns.entered(name):
            run("strace", "-f", "-v", "-s", "1000000", "-o", log.name,
                "-e", "trace=bpf,sendto,sendmsg,sendmmsg", *command)  # fmt: skip
        return _written(log.read())


def _written(log: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in log.splitlines():
        call = re.match(r"\d+ +(\w+)\((.*)", line)
        if call is None:
            continue
        name, rest = call.groups()
        command = rest.partition(",")[0]
        if name == "bpf" and not _BPF_READS.fullmatch(command):
            found["bpf"] += 1
        elif name.startswith("send"):
            found["netlink"] += len(re.findall(r"nlmsg_type=RTM_(?:NEW|SET|DEL)", rest))
    return found
