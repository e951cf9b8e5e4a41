"""After a rollback: devices that were deleted and are back need their programs again.

A device takes its gate with it, and severs the link of a pipeline that it was the root of. One
that a rollback re-creates has the ifindex that it had, so what the maps say of it holds, and only
the programs must be hung once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from xdpctl.apply import offloads, roots
from xdpctl.apply.away_gates import AwayGates
from xdpctl.apply.backstops import Backstops
from xdpctl.apply.mend_switch import mend_switch
from xdpctl.apply.undo import Undo
from xdpctl.bpf import maps, program
from xdpctl.datapath import live as datapath
from xdpctl.datapath import map_names
from xdpctl.datapath.layout import GATE, INDEX
from xdpctl.datapath.loaded import Live, LivePipeline
from xdpctl.datapath.pipeline_maps import open_maps
from xdpctl.errors import XdpctlError
from xdpctl.host import clsact, snapshot
from xdpctl.host.state import AWAY, Host, Link, Places


def mend(before: Live, places: Places | None = None) -> list[str]:
    """Hang every program that there was `before` and is not now; a sentence for each failure.

    `places` are those where the topology had devices.
    """
    if not before.pipelines and not before.tuned:
        return []
    host = snapshot.read(places=places)
    failed = offloads.mend(before, host)
    now = datapath.read(host, before.topology)
    for root, pipeline in now.pipelines.items():
        earlier = before.pipelines.get(root)
        missing = list(severed(earlier, pipeline, host))
        try:
            if earlier is not None:
                hang_hooks(now, earlier, pipeline, host)
            hang(pipeline, missing, host)
            if earlier is not None:
                point(earlier, pipeline, host)
                mend_switch(now.directory, earlier, pipeline, host)
        except XdpctlError as error:
            failed.append(f"hang the programs of {root}: {error}")
    return failed


def point(before: LivePipeline, now: LivePipeline, host: Host) -> None:
    """Let targets lead to the devices again: their deletion took them out of the map."""
    if before.maps[map_names.DEVMAP] != now.maps[map_names.DEVMAP]:
        return
    with maps.open_id(now.maps[map_names.DEVMAP]) as devmap:
        for number, ifindex in before.reached.items():
            if now.reached.get(number) != ifindex and ifindex in host.by_index:
                devmap.update(INDEX.pack(number), INDEX.pack(ifindex))


def hang_hooks(live: Live, before: LivePipeline, now: LivePipeline, host: Host) -> None:
    """Attach the program to the devices that exist again without it, and pin the links over the
    severed ones.
    """
    attached = {hook.ifindex for hook in now.hooks}
    for hook in before.hooks:
        if hook.ifindex in host.by_index and hook.ifindex not in attached:
            with program.open_id(hook.program_id) as loaded:
                roots.hang(live.directory / hook.pin, loaded, hook.ifindex, hook.mode)


def severed(
    before: LivePipeline | None, now: LivePipeline, host: Host
) -> Iterator[tuple[str, int]]:
    """The devices, with their ifindexes, that had a gate and exist without one."""
    for device, ifindex in before.backstops.items() if before else ():
        link = host.by_name.get(device)
        there = link is not None and (link.ifindex == ifindex or has_lost(link, ifindex))
        if there and now.backstops.get(device) != ifindex:
            yield device, ifindex


def has_lost(link: Link, number: int) -> bool:
    """Whether a device in another namespace may be the one that had the number: it has no gate."""
    return bool(number & AWAY) and link.away is not None and not link.away.gate


def renumbered(host: Host, lost: list[tuple[str, int]]) -> Host:
    """The host in which these devices have the numbers that they had."""
    numbers = dict(lost)
    return replace(
        host,
        links=tuple(
            replace(link, ifindex=numbers[link.name])
            if link.away is not None and link.name in numbers
            else link
            for link in host.links
        ),
    )


def hang(pipeline: LivePipeline, missing: list[tuple[str, int]], host: Host) -> None:
    """Hang the pipeline's own gate at the devices."""
    if not missing:
        return
    opened = open_maps(pipeline.maps, pipeline.description)
    try:
        value = opened.programs.lookup(INDEX.pack(GATE))
        if value is None:
            raise XdpctlError(f"the backstop of {pipeline.root} has lost its programs")
        with program.open_id(INDEX.unpack(value)[0]) as gate:
            aside = pipeline.switch.uplinks if pipeline.switch is not None else {}
            here = [each for each in missing if not each[1] & AWAY]
            for hook, there in ((clsact.INGRESS, False), (clsact.EGRESS, True)):
                devices = [each for each in here if (each[1] in aside) is there]
                Backstops(gate, Undo(), hook).attach(devices)
        described = pipeline.description
        lost = [each for each in missing if each[1] & AWAY]
        with ExitStack() as kept:
            away = AwayGates(opened, described, renumbered(host, lost), Undo(), kept)
            away.attach(lost)
    finally:
        opened.close()
