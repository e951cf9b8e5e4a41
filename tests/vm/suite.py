"""A run of pytest inside a guest, and what came of its tests."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.boot import boot
from tests.vm.kernels import Kernel

HERE = Path(__file__).resolve().parents[2]
INSIDE = "XDPCTL_VM_INSIDE"
"""Set inside the guest, where tests/vm/guest is collected."""

SETTINGS = ("XDPCTL_LONG", "XDPCTL_SEED")
"""Of the environment, handed on to the guest."""

COMMON = (
    "tests/vm/guest",
    "tests/topologies/test_topologies.py::test_planned_applied_planned_again_and_destroyed",
    "tests/kernel/test_datapath.py",
    "tests/kernel/test_change.py",
    "tests/kernel/test_policy_examples.py",
)
TESTS = (*COMMON, "tests/transitions")
"""All that runs in a guest."""

USUAL = (*COMMON, "--ignore=tests/vm/guest/test_bond_each.py")
"""Without each option of a bond by itself, and without random ways: each takes a minute."""

DIFFERING = (
    "tests/vm/guest/test_bond_options.py",
    "tests/vm/guest/test_bond_datapath.py",
    "tests/vm/guest/test_vlan.py",
    "tests/vm/guest/test_examples.py",
    "tests/kernel/test_datapath.py",
    "-k",
    "not generic",
)
"""Where kernels are known to differ: which options may change when, what a dump tells, who runs
XDP, and all stacks from end to end."""

MODULES = (
    "virtio_net veth macvlan macvtap tun dummy 8021q bonding team ipvlan bridge vxlan "
    "team_mode_broadcast team_mode_roundrobin team_mode_random team_mode_activebackup "
    "team_mode_loadbalance sch_ingress cls_bpf cls_matchall act_gact nf_tables nfnetlink"
)
"""Loaded beforehand: the kernel then asks for none of them, which takes an emulated one long."""

SCRIPT = """\
export HOME=/root PATH={path} LC_ALL=C.UTF-8 {inside}=1 XDPCTL_VM_REPORT=/dev/ttyS1 {settings}
cd {here}
ip link set lo up
for module in {modules}; do modprobe -q $module || echo "no module $module"; done
echo > /proc/sys/kernel/modprobe
{python} -m pytest -p tests.vm.report -p no:cacheprovider -q --no-header --tb=short --color=no \\
  -o faulthandler_timeout=120 {arguments}
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test in the guest. `outcome`: passed, failed or skipped."""

    test: str
    outcome: str
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run. `broken`: why it did not come to its end, else empty."""

    results: tuple[Result, ...]
    broken: str
    console: str


def run(
    kernel: Kernel,
    arguments: Sequence[str] = TESTS,
    *,
    seconds: float,
    each: Callable[[Result], None] | None = None,
) -> Run:
    """Boot the kernel and run pytest with these arguments in it, within a time.

    `each` is called with every result as it comes.
    """
    results: list[Result] = []
    finished: list[int] = []

    def take(line: str) -> None:
        fields = json.loads(line)
        if "finished" in fields:
            finished.append(fields["finished"])
            return
        results.append(Result(**fields))
        if each is not None:
            each(results[-1])

    settings = [f"{name}={os.environ[name]}" for name in SETTINGS if name in os.environ]
    script = SCRIPT.format(
        settings=shlex.join(settings),
        path=shlex.quote(os.environ["PATH"]), inside=INSIDE, here=shlex.quote(str(HERE)),
        modules=MODULES,
        python=shlex.quote(sys.executable), arguments=shlex.join(arguments),
    )  # fmt: skip
    compile_tests(arguments)
    booted = boot(kernel, script, seconds=seconds, each=take)
    broken = ""
    if not finished:
        why = "the guest died" if booted.ended else f"still running after {seconds:.0f} s"
        broken = f"{kernel.release}: {why}; the end of its console:\n{booted.last_words}"
    elif finished[0] not in (0, 1):
        broken = f"{kernel.release}: pytest ended with {finished[0]}:\n{booted.last_words}"
    return Run(tuple(results), broken, booted.console)


def compile_tests(arguments: Sequence[str]) -> None:
    """Let pytest read the tests here, so that it finds them compiled in the guest: with its
    assertions rewritten, which no other compiler does. Whether they can be read it tells there.
    """
    environment = {**os.environ, INSIDE: "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--collect-only",
         *arguments],
        cwd=HERE, env=environment, capture_output=True, check=False,
    )  # fmt: skip
