"""How long `xdpctl --help` and `xdpctl validate` of a small file take, beside python itself."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import XDPCTL, report, run, seconds

ROUNDS = 15
SMALL = """\
version: 1
name: small
devices:
  eth0: {kind: physical}
  web0: {kind: macvlan, parent: eth0, mode: bridge, state: up, xdp: {policy: web}}
policies:
  web:
    default: drop
    rules:
      - {name: https, match: {tcp.dport: [80, 443]}, action: pass}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "small.yaml")
        file.write_text(SMALL, "utf-8")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "xdpctl --help": [*XDPCTL, "--help"],
            "xdpctl validate, 2 devices": [*XDPCTL, "validate", str(file)],
        }
        for command in commands.values():  # once for the page cache and the bytecode
            run(*command)
        times: dict[str, list[float]] = {what: [] for what in commands}
        for _ in range(ROUNDS):  # in turn, so that a busy moment meets all of them
            for what, command in commands.items():
                times[what].append(seconds(*command))
    for what, taken in times.items():
        report(what, taken)


if __name__ == "__main__":
    main()
