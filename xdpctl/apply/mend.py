"""After a rollback: devices that were deleted and are back need their backstops again.

The kernel severs a link when its device goes. A device that a rollback re-creates has the ifindex
that it had, so what the maps say of it holds, and only its gate must be hung once more.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdpctl.apply.backstops import Backstops
from xdpctl.apply.undo import Undo
from xdpctl.bpf import program
from xdpctl.datapath import backstop, load
from xdpctl.datapath import live as datapath
from xdpctl.datapath.layout import INDEX
from xdpctl.datapath.live import Live, LivePipeline
from xdpctl.errors import XdpctlError
from xdpctl.host import snapshot
from xdpctl.host.state import Host


def mend(before: Live) -> list[str]:
    """Hang every backstop that there was `before` and is not now; a sentence for each failure."""
    if not before.pipelines:
        return []
    host = snapshot.read()
    now = datapath.read(host, before.topology)
    failed: list[str] = []
    for root, pipeline in now.pipelines.items():
        missing = list(severed(before.pipelines.get(root), pipeline, host))
        try:
            hang(pipeline, missing)
        except XdpctlError as error:
            failed.append(f"hang the backstops above {root}: {error}")
    return failed


def severed(
    before: LivePipeline | None, now: LivePipeline, host: Host
) -> Iterator[tuple[str, int]]:
    """The devices, with their ifindexes, that had a gate and exist without one."""
    for device, ifindex in before.backstops.items() if before else ():
        link = host.by_name.get(device)
        there = link is not None and link.ifindex == ifindex
        if there and now.backstops.get(device) != ifindex:
            yield device, ifindex


def hang(pipeline: LivePipeline, missing: list[tuple[str, int]]) -> None:
    """Hang the pipeline's own gate at the devices."""
    if not missing:
        return
    opened = load.open_maps(pipeline.maps)
    try:
        value = opened.programs.lookup(INDEX.pack(backstop.GATE))
        if value is None:
            raise XdpctlError(f"the backstop of {pipeline.root} has lost its programs")
        with program.open_id(INDEX.unpack(value)[0]) as gate:
            Backstops(gate, Undo()).attach(missing)
    finally:
        opened.close()
