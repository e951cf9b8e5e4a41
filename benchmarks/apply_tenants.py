"""1,000 macvlans with a policy each: xdpctl beside `ip -batch`, which only makes the devices.

Both start from an empty namespace with a veth for a NIC, one after the other in every round.
Then, with everything in place: a plan that finds nothing to do, beside one `ip -d -j link`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from measure import XDPCTL, namespace, report, run, seconds

TENANTS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
ROUNDS = 5

TOPOLOGY = f"""\
version: 1
name: tenants
devices:
  eth0: {{kind: physical}}
  tenant[1-{TENANTS}]:
    kind: macvlan
    parent: eth0
    mode: bridge
    address: {{base: "02:00:00:01:00:00"}}
    state: up
    xdp: {{policy: tenant}}
policies:
  tenant:
    default: drop
    rules:
      - {{name: arp, match: {{ether.type: arp}}, action: pass}}
      - {{name: web, match: {{tcp.dport: [80, 443, 8000-8100]}}, action: pass}}
      - {{name: dns, match: {{udp.sport: 53}}, action: pass}}
"""


def batch() -> str:
    """The same devices for `ip -batch`, each made and raised."""
    lines = []
    for number in range(1, TENANTS + 1):
        address = (0x020000010000 + number).to_bytes(6).hex(":")
        lines.append(
            f"link add link eth0 name tenant{number} address {address} type macvlan mode bridge"
        )
        lines.append(f"link set tenant{number} up")
    return "\n".join(lines) + "\n"


def main() -> None:
    made: list[float] = []
    applied: list[float] = []
    planned: list[float] = []
    dumped: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "tenants.yaml"))
        Path(file).write_text(TOPOLOGY, "utf-8")
        for _ in range(ROUNDS):
            with namespace("ip") as name:
                made.append(seconds("ip", "-n", name, "-batch", "-", stdin=batch()))
            with namespace("xdpctl") as name:
                command = [*XDPCTL, "--netns", name]
                applied.append(seconds(*command, "apply", "--yes", file))
                planned.append(seconds(*command, "plan", file))
                dumped.append(seconds("ip", "-n", name, "-d", "-j", "link"))
                rest = json.loads(run(*command, "-o", "json", "plan", file).stdout)
                run(*command, "destroy", "tenants")
            if rest["changed"]:
                raise SystemExit(f"a plan after an apply has changes: {rest['summary']}")
    print(f"{TENANTS} tenants, from nothing:")
    ip = report("  ip -batch: devices alone", made)
    ours = report("  xdpctl apply: devices, labels, policies", applied)
    print(f"  xdpctl takes {ours / ip:.2f} times as long as ip -batch")
    print("nothing to do:")
    dump = report("  ip -d -j link", dumped)
    plan = report("  xdpctl plan", planned)
    print(f"  xdpctl takes {plan / dump:.2f} times as long as ip -d -j link")


if __name__ == "__main__":
    main()
