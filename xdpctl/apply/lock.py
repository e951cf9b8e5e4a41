"""One run at a time in each network namespace: flock(2) on a file that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from xdpctl.errors import LockedError, NotPermitted

DIRECTORY = Path("/run/xdpctl")
MOST = 4096
"""Bytes of a lock's file to read: it has one line."""


@contextmanager
def held(netns: str) -> Iterator[None]:
    """Holds the lock of a network namespace; raises LockedError at once if another run does.

    The kernel lets go of a flock when its holder dies, so a dead one is in nobody's way; what
    the file says is only for the message. Who lets go takes the file away while it still has the
    lock, so whoever gets a lock looks whether its file still has the name.
    """
    path = DIRECTORY / f"{netns.replace('/', '-')}.lock"
    descriptor = locked(path, netns)
    try:
        write(descriptor)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def locked(path: Path, netns: str) -> int:
    """A descriptor of the file at `path`, with the lock on it."""
    while True:
        descriptor = opened(path)
        taken = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = False
        if names(path, descriptor):
            if taken:
                return descriptor
            who = holder(descriptor)
            os.close(descriptor)
            raise LockedError(
                f"another run holds the lock of {netns}: {who}",
                hint="wait for it to end, or end it",
            )
        os.close(descriptor)


def opened(path: Path) -> int:
    """A descriptor of the lock's file, which is made if there is none."""
    try:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        raise NotPermitted(f"cannot open {path}: Permission denied", hint="run as root") from None


def names(path: Path, descriptor: int) -> bool:
    """Whether the path still is the name of the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def write(descriptor: int) -> None:
    """Say who holds the lock, and since when."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "command": shlex.join(sys.argv), "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode() + b"\n", 0)


def holder(descriptor: int) -> str:
    """`process 4711 (xdpctl apply edge.yaml) since 2026-01-01T00:00:00+00:00`."""
    try:
        who = json.loads(os.pread(descriptor, MOST, 0))
        return f"process {who['pid']} ({who['command']}) since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not yet said who it is"
