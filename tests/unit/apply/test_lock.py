"""The lock's file: one holder, and gone with it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xdpctl.apply import lock
from xdpctl.errors import LockedError

CONTENDER = """
import sys, time
from pathlib import Path
from xdpctl.apply import lock
from xdpctl.errors import LockedError
lock.DIRECTORY = Path(sys.argv[1])
inside, held, end = lock.DIRECTORY / "inside", 0, time.monotonic() + 1
while time.monotonic() < end:
    try:
        with lock.held("here"):
            inside.touch(exist_ok=False)  # FileExistsError where another one is in, too
            held += 1
            inside.unlink()
    except LockedError:
        pass
print(held)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lock, "DIRECTORY", tmp_path / "locks")
    return tmp_path / "locks"


def test_nothing_is_left_of_it(folder: Path) -> None:
    with lock.held("here"):
        assert [path.name for path in folder.iterdir()] == ["here.lock"]
    assert not list(folder.iterdir())
    with pytest.raises(RuntimeError), lock.held("here"):
        raise RuntimeError
    assert not list(folder.iterdir())


def test_a_second_one_takes_nothing_away_from_the_first(folder: Path) -> None:
    with lock.held("here"):
        for _ in range(2):
            with (
                pytest.raises(LockedError, match=f"lock of here: process {os.getpid()} "),
                lock.held("here"),
            ):
                raise AssertionError
        assert (folder / "here.lock").exists()


def test_a_file_that_lost_its_name_is_no_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    locked: list[int] = []

    def late(descriptor: int, how: int) -> None:
        """As if the holder let go between our open(2) and our flock(2)."""
        if not locked:
            (folder / "here.lock").unlink()
        locked.append(descriptor)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with lock.held("here"):
        assert len(locked) == 2
        descriptor = os.open(folder / "here.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            real(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


def test_never_two_at_once(folder: Path) -> None:
    folder.mkdir()
    command = [sys.executable, "-c", CONTENDER, str(folder)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    end = time.monotonic() + 30
    for each in started:
        out, complaint = each.communicate(timeout=end - time.monotonic())
        assert (each.returncode, complaint) == (0, "")
        assert int(out) > 0
