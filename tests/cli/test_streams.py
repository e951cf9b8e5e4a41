"""Streams that the caller has closed, that are full, or that nobody reads any more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL, environment

VALID = "topology small is valid: 2 devices, 1 policy\n"


def shell(file: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    """Validate a file by a shell's command line."""
    line = f"{sys.executable} -m xdpctl validate {file} {redirection}"
    return subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=False, env=environment()
    )


@pytest.mark.parametrize(
    ("redirection", "expected"),
    [
        ("<&-", VALID),
        (">&-", ""),
        ("2>&-", VALID),
        ("<&- >&- 2>&-", ""),
        ("| cat", VALID),
    ],
)
def test_closed_streams(small: Path, redirection: str, expected: str) -> None:
    done = shell(small, redirection)
    assert (done.returncode, done.stdout) == (0, expected)
    assert "Traceback" not in done.stderr
    small.write_text(SMALL.replace("version", "versoin"))
    done = shell(small, redirection)
    assert (done.returncode, done.stdout) == (0 if "|" in redirection else 1, "")
    assert ("versoin" in done.stderr) is ("2>" not in redirection)


@pytest.mark.parametrize("command", ["validate small.yaml", "schema", "--help", "--version"])
def test_a_full_disk(small: Path, command: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m xdpctl {command} >/dev/full"],
        capture_output=True, text=True, check=False, cwd=small.parent,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: No space left on device"
    assert done.stderr.count("No space left") == 1


def test_nobody_reads(tmp_path: Path) -> None:
    line = f"({sys.executable} -m xdpctl schema; echo $? >{tmp_path}/code) | true"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert (tmp_path / "code").read_text() in {"0\n", "141\n"}  # as fast as `true` has gone
