"""`xdpctl demo`, from the checkout and from an installed wheel; it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import environment

pytestmark = pytest.mark.kernel

REPOSITORY = Path(__file__).parents[2]


def leavings(process: int) -> set[str]:
    """Namespaces and pins of a demo."""
    folders = (Path("/run/netns"), Path("/sys/fs/bpf/xdpctl"))
    return {
        str(entry)
        for folder in folders
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.name.startswith(f"xdpctl-demo-{process}-")
    }


def arrivals(text: str) -> dict[str, tuple[int, int]]:
    """The table of frames: what was sent → how many came to web0 and dns0."""
    rows = re.findall(r"^(\d+ x .+? to .+?) +(\d+) +(\d+)$", text, re.MULTILINE)
    return {sent: (int(web), int(dns)) for sent, web, dns in rows}


def during_the_change(text: str, frame: str) -> list[str]:
    """The row of the second table: sent, arrived before, arrived from apply on, lost."""
    row = re.search(rf"^(\d+) x {frame} +(\d+) +(\d+) +(-|-?\d+)$", text, re.MULTILINE)
    assert row, text
    return list(row.groups())


def test_the_demo_shows_what_it_promises_and_cleans_up() -> None:
    command = [sys.executable, "-m", "xdpctl", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        out, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, "")
    assert "  + create macvlan web0\n" in out
    assert "No changes. The host matches topology demo." in out
    assert arrivals(out) == {
        "5 x tcp 443 to web0": (5, 0),
        "3 x tcp 22 to web0": (0, 0),
        "4 x udp 53 to dns0": (0, 4),
        "2 x tcp 443 to dns0": (0, 0),
        "6 x udp 53 to everybody": (0, 6),
        "7 x tcp 22 to web0 from dns0": (0, 0),
        "8 x tcp 443 to web0 from dns0": (8, 0),
    }
    sent, early, late, lost = during_the_change(out, "tcp 443")
    assert (int(early) + int(late), lost) == (int(sent), "0")
    _, early, late, _ = during_the_change(out, "tcp 22")
    assert early == "0"
    assert int(late) > 0
    assert not leavings(process.pid)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_cleans_up(stop: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "xdpctl", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("SENT"):
                break
        time.sleep(0.2)
        assert leavings(process.pid)
        process.send_signal(stop)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 128 + stop
    assert "Traceback" not in complaint
    assert not leavings(process.pid)


def test_the_wheel_brings_all_that_the_demo_needs(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site")]
    subprocess.run([*pip, *options, str(REPOSITORY)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "xdpctl", "demo"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(tmp_path / "site")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "No changes." in done.stdout
