"""4,096 macvlans with policies: what a small change to them costs, as a whole command each.

Two spellings of the same devices: eight ranges with a policy each, and every device written out.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import XDPCTL, namespace, report, run, seconds

TENANTS = int(sys.argv[1]) if len(sys.argv) > 1 else 4096
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
POLICIES = 8

HEAD = "version: 1\nname: tenants\ndevices:\n  eth0: {kind: physical}\n"
DEVICE = """\
  {name}:
    kind: macvlan
    parent: eth0
    mode: bridge
    address: {address}
    state: up
    xdp: {{policy: p{policy}}}
"""
POLICY = """\
  p{number}:
    default: drop
    rules:
      - {{name: arp, match: {{ether.type: arp}}, action: pass}}
      - {{name: web, match: {{tcp.dport: [80, 443, 8000-8100]}}, action: pass}}
      - {{name: bad, match: {{ip4.saddr: "@blocked"}}, action: drop}}
"""
SETS = "sets:\n  blocked: {type: ip4, entries: [192.0.2.0/24, 198.51.100.7]}\n"
BASE = 0x020000010000


def ranges(count: int) -> str:
    """The devices as ranges, the last of which takes what is left."""
    each = TENANTS // POLICIES
    spans = [(1 + each * at, each * (at + 1)) for at in range(POLICIES - 1)]
    spans.append((1 + each * (POLICIES - 1), count))
    address = '{base: "02:00:00:01:00:00"}'
    return "".join(
        DEVICE.format(name=f"tenant[{low}-{high}]", address=address, policy=at)
        for at, (low, high) in enumerate(spans)
    )


def written_out(count: int) -> str:
    """The devices one by one."""
    each = TENANTS // POLICIES
    return "".join(
        DEVICE.format(
            name=f"tenant{number}",
            address=f'"{(BASE + number).to_bytes(6).hex(":")}"',
            policy=min((number - 1) // each, POLICIES - 1),
        )
        for number in range(1, count + 1)
    )


def topology(devices: str) -> str:
    """A whole file."""
    policies = "".join(POLICY.format(number=number) for number in range(POLICIES))
    return f"{HEAD}{devices}policies:\n{policies}{SETS}"


@contextmanager
def applied(file: Path, text: str) -> Iterator[list[str]]:
    """A namespace in which the text is in force; the command line that works in it."""
    with namespace("edit") as name:
        command = [*XDPCTL, "--netns", name]
        file.write_text(text, "utf-8")
        run(*command, "apply", "--yes", str(file))
        yield command
        run(*command, "destroy", "tenants")


def main() -> None:
    for what, spell in (("ranges", ranges), ("written out", written_out)):
        text = topology(spell(TENANTS))
        edits = {
            "one device added": topology(spell(TENANTS + 1)),
            "one rule changed": re.sub("8000-8100", "8000-8101", text, count=1),
            "one set entry added": text.replace("198.51.100.7]", "198.51.100.7, 198.51.100.8]"),
        }
        print(f"{TENANTS} tenants, {what}:")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "tenants.yaml")
            with applied(file, text) as command:
                plan = [*command, "plan", str(file)]
                report("  plan, nothing to do", [seconds(*plan) for _ in range(ROUNDS)])
                for edit, changed in edits.items():
                    times = []
                    for _ in range(ROUNDS):
                        file.write_text(changed, "utf-8")
                        times.append(seconds(*command, "apply", "--yes", str(file)))
                        file.write_text(text, "utf-8")
                        run(*command, "apply", "--yes", str(file))
                    report(f"  apply, {edit}", times)
                if json.loads(run(*command, "-o", "json", "plan", str(file)).stdout)["changed"]:
                    raise SystemExit("a plan after an apply has changes")


if __name__ == "__main__":
    main()
