"""The real command in a process of its own, and a network namespace to point it at."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "Done"]

SMALL = """\
version: 1
name: small
devices:
  eth0: {kind: physical}
  web0:
    kind: macvlan
    parent: eth0
    mode: bridge
    address: "02:00:00:00:00:10"
    state: up
    xdp: {policy: web}
policies:
  web:
    default: drop
    rules:
      - {name: https, match: {tcp.dport: 443}, action: pass}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """The caller's environment, less what would decide about colour or buffering."""
    decide = {"NO_COLOR", "TERM", "PYTHONUNBUFFERED"}
    kept = {name: value for name, value in os.environ.items() if name not in decide}
    return {**kept, "TERM": "xterm-256color", **more}


def xdpctl(*arguments: str, stdin: str = "", prefix: tuple[str, ...] = (), **more: str) -> Done:
    """Run xdpctl without a terminal; `more` goes into its environment."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "xdpctl", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**more),
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def on_terminal(*arguments: str, answer: str = "", **more: str) -> Done:
    """Run xdpctl on a terminal (all it shows is in `out`); `answer` is typed when it asks."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "xdpctl", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment(**more),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # or Ctrl-C would be a mere byte
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while chunk := _read(leader, process):
                shown += chunk
                if shown.endswith(b"[y/N] "):  # a terminal may hand it out in pieces
                    os.write(leader, answer.encode())
        except OSError:  # EIO: the other end is closed
            pass
        os.close(leader)
        code = process.wait(60)
    return Done(code, shown.decode().replace("\r\n", "\n"), "")


def _read(leader: int, process: subprocess.Popen[bytes], seconds: float = 60) -> bytes:
    """What the terminal shows next; a command that says nothing for long is killed."""
    ready, _, _ = select.select([leader], [], [], seconds)
    if not ready:
        process.kill()
        raise AssertionError(f"{process.args!r} hangs")
    return os.read(leader, 65536)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small file that is right."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL, "utf-8")
    return file


@pytest.fixture
def netns() -> Iterator[str]:
    """A namespace with the NIC eth0, gone afterwards with all its pins."""
    name = f"xt-cli-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (
            "link add eth0 type veth peer name wire0",
            "link set wire0 up",
            "link set eth0 up",
        ):
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        yield name
        for topology in ("small", "other"):
            xdpctl("--netns", name, "destroy", topology)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
