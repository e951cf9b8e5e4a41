"""How long `xdpctl --help` and `xdpctl validate` of a small file take, beside python itself.

python benchmarks/startup.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.record import Record, Row, parser, show
from measure import XDPCTL, run, seconds

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


def measure(rounds: int, file: Path) -> list[Row]:
    """In turn, so that a busy moment meets all of them."""
    file.write_text(SMALL, "utf-8")
    bare = [sys.executable, "-c", "pass"]
    commands = {
        "xdpctl --help": [*XDPCTL, "--help"],
        "xdpctl validate, 2 devices": [*XDPCTL, "validate", str(file)],
    }
    for command in (bare, *commands.values()):  # once for the page cache and the bytecode
        run(*command)
    rows = {what: Row(what, "s", peer="python -c pass") for what in commands}
    for _ in range(rounds):
        for what, command in commands.items():
            rows[what].theirs.append(seconds(*bare))
            rows[what].ours.append(seconds(*command))
    return list(rows.values())


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=15).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = Record("startup", measure(options.rounds, Path(folder, "small.yaml")))
    show(record.rows)
    if options.json:
        record.write(options.json)


if __name__ == "__main__":
    main()
