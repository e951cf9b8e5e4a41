"""After a rollback: what devices had that frames are redirected into, given to them again."""

from __future__ import annotations

from pathlib import Path

from xdpctl.apply import roots
from xdpctl.apply.backstops import Backstops, Device
from xdpctl.apply.undo import Undo
from xdpctl.bpf import maps, program
from xdpctl.bpf.maps import Map
from xdpctl.bpf.program import Program
from xdpctl.datapath.layout import FLOOD_PROGRAM, INDEX, RELAY
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.map_names import PROGRAMS
from xdpctl.datapath.switch_maps import DELIVER, ROOT_KEY
from xdpctl.host import uc_list
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Host


def mend_switch(directory: Path, before: LivePipeline, now: LivePipeline, host: Host) -> None:
    """All that the devices had `before` and have not `now`, as far as they exist."""
    old, live = before.switch, now.switch
    if old is None or live is None:
        return
    for ifindex, link in old.pinned.items():
        if ifindex in host.by_index and ifindex not in live.pinned:
            with program.open_id(link.program_id) as loaded:
                roots.hang(directory / link.name, loaded, ifindex, "native")
    with maps.open_id(now.maps[DELIVER]) as deliver:
        for key, ifindex in old.delivered.items():
            if ifindex in host.by_index and live.delivered.get(key) != ifindex:
                deliver.update(INDEX.pack(key), INDEX.pack(ifindex))
    relays = [each for each in old.relays.items() if each[1] in host.by_index]
    with maps.open_id(now.maps[PROGRAMS]) as programs:
        _hang(programs, RELAY, [each for each in relays if each not in live.relays.items()])
        root = host.by_index.get(old.delivered.get(ROOT_KEY, 0))
        if root is not None and old.is_flooding and not live.is_flooding:
            _hang(programs, FLOOD_PROGRAM, [(root.name, root.ifindex)])
    if root is not None:
        known = {slot.address for slot in before.by_key.values()}
        missing = sorted((old.taken_in - live.taken_in) & known)
        with Rtnl() as rtnl:
            uc_list.add(rtnl, root.ifindex, missing, f"let {root.name} take frames in")


def _hang(programs: Map, index: int, devices: list[Device]) -> None:
    value = programs.lookup(INDEX.pack(index))
    if devices and value is not None:
        loaded: Program = program.open_id(INDEX.unpack(value)[0])
        with loaded:
            Backstops(loaded, Undo()).attach(devices)
