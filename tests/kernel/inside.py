"""What is loaded, looked at from inside: programs and maps by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.kernel.rig import Rig
from xdpctl.apply import run
from xdpctl.bpf import maps
from xdpctl.bpf.maps import Map
from xdpctl.datapath import map_names, set_maps
from xdpctl.datapath.layout import INDEX
from xdpctl.datapath.loaded import LivePipeline


def pipeline(rig: Rig, root: str = "eth0") -> LivePipeline:
    """A root's pipeline as it is in the kernel."""
    with rig.nic.entered():
        return run.observe("edge").live.pipelines[root]


def programs(rig: Rig, root: str = "eth0") -> list[int]:
    """The ids of the root's program, the police and the gate."""
    found = pipeline(rig, root)
    with maps.open_id(found.maps[map_names.PROGRAMS]) as array:
        members = [array.lookup(INDEX.pack(number)) or bytes(4) for number in (0, 1)]
    return [found.program_id, *(INDEX.unpack(each)[0] for each in members)]


@contextmanager
def entries(rig: Rig, name: str, root: str = "eth0") -> Iterator[Map]:
    """The map that holds a set's entries now."""
    found = pipeline(rig, root)
    array = maps.open_id(found.maps[map_names.set_map(found.description.sets[name].index)])
    with array, set_maps.entries_of(array) as opened:
        yield opened


def entries_id(rig: Rig, name: str, root: str = "eth0") -> int:
    """The id of that map."""
    with entries(rig, name, root) as opened:
        return opened.info.id


def held(rig: Rig, name: str) -> int:
    """How many entries it has."""
    with entries(rig, name) as opened:
        return sum(1 for _ in opened.keys())  # noqa: SIM118 (a map is no mapping)
