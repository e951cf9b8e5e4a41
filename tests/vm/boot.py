"""One boot: a kernel starts in QEMU, runs a script in the host's file tree, and powers off.

The guest writes to memory what it writes to the host's files. Its console goes to one file, and
the lines that it writes to its second serial port, /dev/ttyS1, to another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.vm import initramfs
from tests.vm.errors import UnavailableError
from tests.vm.kernels import Kernel

QEMU = "qemu-system-x86_64"
MEMORY = "2G"
CPU = "qemu64"
"""The plainest one: with `max`, an eighth of the time goes into instructions that are slow to
emulate (ERMS, by which memory is filled and copied byte by byte; AVX2 for strings).
"""
CONSOLE_SHOWN = 60
NICS, NIC_MAC = 4, "02:56:00:00:00:"
"""Virtio NICs in the guest, and how their addresses begin; the number follows."""
APPEND = (
    "console=ttyS0 panic=-1 oops=panic quiet loglevel=4 nokaslr mitigations=off nowatchdog "
    "rcupdate.rcu_expedited=1 random.trust_cpu=on tsc=reliable net.ifnames=0"
)
"""An oops ends the run; an emulated processor is slow enough without mitigations and waits."""

FIRST = ("nice", "-n", "-5") if os.geteuid() == 0 else ()
"""The longest of all tests, beside processes that wait half of their time: it goes first."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What came of a boot. `ended`: whether the guest powered off by itself, in time.

    lines    what the guest wrote to /dev/ttyS1
    console  what the kernel and the script wrote
    """

    ended: bool
    lines: tuple[str, ...]
    console: str

    @property
    def last_words(self) -> str:
        """The end of the console's output."""
        return "\n".join(self.console.splitlines()[-CONSOLE_SHOWN:])


def boot(
    kernel: Kernel, script: str, *, seconds: float, each: Callable[[str], None] | None = None
) -> Boot:
    """Boot the kernel and run a shell script as root in the host's file tree.

    `seconds` is the time that it may take, `each` is called with every line as it comes. Raises
    UnavailableError, with what to install, where there is no emulator.
    """
    if not shutil.which(QEMU):
        raise UnavailableError(f"there is no {QEMU}: install qemu-system-x86")
    with tempfile.TemporaryDirectory(prefix="xdpctl-vm-") as work:
        place = Path(work)
        (place / "initramfs").write_bytes(initramfs.build(kernel, script))
        (place / "lines").touch()
        with subprocess.Popen(
            [*FIRST, *command(kernel, place)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as qemu:  # fmt: skip
            try:
                ended = follow(qemu, place / "lines", seconds, each)
            finally:
                qemu.kill()
            said = qemu.stdout.read() if qemu.stdout else ""
        console = place / "console"
        text = console.read_text(errors="replace") if console.exists() else ""
        return Boot(ended, tuple(complete(place / "lines")), f"{said}{text}")


def command(kernel: Kernel, place: Path) -> list[str]:
    """The command line of QEMU."""
    tree = "local,id=tree,path=/,security_model=none,readonly=on,multidevs=remap"
    return [
        QEMU, "-machine", "q35", "-accel", "tcg", "-cpu", CPU, "-smp", "1", "-m", MEMORY,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", f"file:{place}/console", "-serial", f"file:{place}/lines",
        "-fsdev", tree, "-device", "virtio-9p-pci,fsdev=tree,mount_tag=tree",
        "-device", "virtio-rng-pci", *network(),
        "-kernel", str(kernel.image), "-initrd", f"{place}/initramfs", "-append", APPEND,
    ]  # fmt: skip


def network() -> list[str]:
    """Virtio NICs, two at each of two cables; nothing of the host's."""
    found: list[str] = []
    for number in range(NICS):
        cable = number // 2
        found += ["-netdev", f"hubport,id=port{number},hubid={cable}"]
        nic = f"virtio-net-pci,netdev=port{number},mac={NIC_MAC}{number:02x},romfile="
        found += ["-device", nic]
    return found


def follow(
    qemu: subprocess.Popen[str], path: Path, seconds: float, each: Callable[[str], None] | None
) -> bool:
    """Wait until QEMU is done; False if it took too long."""
    told, end = 0, time.monotonic() + seconds
    while True:
        try:
            qemu.wait(0.2)
            ended = True
        except subprocess.TimeoutExpired:
            ended = False
        lines = complete(path)
        for line in lines[told:]:
            if each is not None:
                each(line)
        told = len(lines)
        if ended or time.monotonic() > end:
            return ended


def complete(path: Path) -> list[str]:
    """The lines of a file that are written to their end."""
    return path.read_text(errors="replace").split("\n")[:-1]
