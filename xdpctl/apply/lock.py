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


@contextmanager
def held(netns: str) -> Iterator[None]:
    """Holds the lock of a network namespace; raises LockedError at once if another run does.

    The kernel lets go of a flock when its holder dies, so a dead one is in nobody's way; what
    the file says is only for the message. It is not deleted: that would be a race.
    """
    path = DIRECTORY / f"{netns.replace('/', '-')}.lock"
    try:
        DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        raise NotPermitted(f"cannot open {path}: Permission denied", hint="run as root") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another run holds the lock of {netns}: {holder(path)}",
                hint="wait for it to end, or end it",
            ) from None
        write(descriptor)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def write(descriptor: int) -> None:
    """Say who holds the lock, and since when."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "command": shlex.join(sys.argv), "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode() + b"\n", 0)


def holder(path: Path) -> str:
    """`process 4711 (xdpctl apply edge.yaml) since 2026-01-01T00:00:00+00:00`."""
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"process {who['pid']} ({who['command']}) since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not yet said who it is"
