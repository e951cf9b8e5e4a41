"""What a command takes and writes: seconds, memory, calls that change something in the kernel."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from measure import ENVIRONMENT, run

from xdpctl.host import netns

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
