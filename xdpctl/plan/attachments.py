"""Programs of somebody else's that keep a root from having one: above it, and on its ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdpctl.datapath.blueprint import Pipeline, ports_of
from xdpctl.datapath.live import Live, LivePipeline
from xdpctl.errors import ConflictError
from xdpctl.host.state import Host, Link
from xdpctl.plan.stacking import lower_of
from xdpctl.topology.model import Topology

ABOVE = "Cannot attach when an upper device already has a program."
"""dev_xdp_attach (net/core/dev.c): EEXIST. A program that is there is replaced all the same."""
BELOW = "Slave has XDP program loaded, please unload before enslaving."
"""bond_xdp_set and bond_enslave (drivers/net/bonding/bond_main.c): EOPNOTSUPP. Native XDP only."""


def check(topology: Topology, wanted: Sequence[Pipeline], host: Host, live: Live) -> None:
    """Raise ConflictError with every such program, in the kernel's own words."""
    ours = {*live.orphans, *(each.program_id for each in live.pipelines.values())}
    found = [said for each in wanted for said in _in_the_way(topology, each, host, live, ours)]
    if found:
        raise ConflictError(
            "\n".join(dict.fromkeys(found)), hint="take it off first: `ip link set DEVICE xdp off`"
        )


def _in_the_way(
    topology: Topology, wanted: Pipeline, host: Host, live: Live, ours: set[int]
) -> Iterator[str]:
    root, device = host.by_name.get(wanted.root), topology.devices[wanted.root]
    if root is not None and attaches(wanted, live.pipelines.get(wanted.root), root):
        for upper in host.links:
            if lower_of(upper) == root.ifindex or upper.ifindex == root.master:
                yield from _said(device.location, upper, f"above {root.name}", live, ours, ABOVE)
    if wanted.mode == "native":
        for name in ports_of(device, host):
            port = host.by_name.get(name)
            if port is not None:
                where = f"a port of {device.name}"
                yield from _said(device.location, port, where, live, ours, BELOW)


def _said(
    location: object, link: Link, where: str, live: Live, ours: set[int], words: str
) -> Iterator[str]:
    if link.xdp is None or link.xdp.program_id in ours:
        return
    program = live.foreign.get(link.name, f"id {link.xdp.program_id}")
    yield (
        f"{location}: {link.name}, {where}, has an XDP program that is not ours: {program}; "
        f'the kernel would say "{words}"'
    )


def attaches(wanted: Pipeline, before: LivePipeline | None, root: Link) -> bool:
    """Whether the program is attached anew, not replaced in its link."""
    return before is None or (before.ifindex, before.mode) != (root.ifindex, wanted.mode)
