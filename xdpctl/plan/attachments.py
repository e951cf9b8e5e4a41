"""Programs of somebody else's that keep a root from having one: above it, and on its ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.loaded import Live, LivePipeline
from xdpctl.datapath.support import ports_of
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
    hooks = (hook for each in live.pipelines.values() for hook in each.hooks)
    ours = {*live.orphans, *(hook.program_id for hook in hooks)}
    found = [said for each in wanted for said in _in_the_way(topology, each, host, live, ours)]
    if found:
        raise ConflictError(
            "\n".join(dict.fromkeys(found)), hint="take it off first: `ip link set DEVICE xdp off`"
        )


def _in_the_way(
    topology: Topology, wanted: Pipeline, host: Host, live: Live, ours: set[int]
) -> Iterator[str]:
    device, before = topology.devices[wanted.root], live.pipelines.get(wanted.root)
    for link in [host.by_name[name] for name in wanted.hooks if name in host.by_name]:
        for upper in host.links if attaches(wanted, before, link) else ():
            if lower_of(upper) == link.ifindex or upper.ifindex == link.master:
                yield from _said(device.location, upper, f"above {link.name}", live, ours, ABOVE)
    if wanted.mode == "native" and wanted.hooks == (device.name,):
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


def attaches(wanted: Pipeline, before: LivePipeline | None, link: Link) -> bool:
    """Whether the program is attached anew, not replaced in its link."""
    there = before.hooks if before is not None else ()
    return (link.ifindex, wanted.mode) not in {(hook.ifindex, hook.mode) for hook in there}
