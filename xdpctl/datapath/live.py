"""The datapath as it is in the kernel: everything is found from the pins of one topology."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from xdpctl.bpf import maps, objects, pins, program
from xdpctl.bpf.objects import Object
from xdpctl.datapath import tuned
from xdpctl.datapath.description import Description
from xdpctl.datapath.foreign import attachment
from xdpctl.datapath.gates import Gates
from xdpctl.datapath.hooks import Hook, by_entry
from xdpctl.datapath.layout import ENTRY, GATE, INDEX, META, POLICE, POLICE_AWAY
from xdpctl.datapath.live_switch import LiveSwitch, read_switch
from xdpctl.datapath.loaded import Entry, Live, LivePipeline
from xdpctl.datapath.map_names import (
    ALL,
    DEVMAP,
    DISPLACEMENTS,
    ENTRIES,
    PARTS,
    PIPELINE,
    PROGRAMS,
    SETS,
    SLOTS,
)
from xdpctl.datapath.named import DEVICE
from xdpctl.datapath.pin_names import (
    OFFLOADS_PIN,
    OUR_PINS,
    PARTS_PIN,
    PROGRAMS_PIN,
    socket_pins,
    uplink_pins,
)
from xdpctl.datapath.set_maps import unpack
from xdpctl.datapath.slot_map import read_displacements, read_slots
from xdpctl.host import clsact
from xdpctl.host.features import xdp_features
from xdpctl.host.links import label
from xdpctl.host.mirror import Mirror
from xdpctl.host.offloads import Ethtool, Offloads
from xdpctl.host.state import Host, Link


def read(
    host: Host,
    topology: str,
    roots: Iterable[str] = (),
    names: Iterable[str] = (),
    mirror: Mirror | None = None,
) -> Live:
    """Read the pins of `topology`; `roots` are the devices that a program is wanted on.

    Gates are looked for at the devices that carry its label, that its pipelines know by their
    ifindex (whatever they are called or labelled by now), and at those in `names`; in `mirror`, if
    it is given.

    Raises KernelError or NotPermitted, and UnsupportedError where the pins are out of sight; a
    pin that does not make sense lands in `broken`.
    """
    if not pins.is_mounted() and _is_running(host):
        pins.require_bpffs()
    directory = pins.directory(host.netns, topology)
    found = [each for each in pins.entries(directory) if _is_ours(each)]
    gates = Gates(host, mirror)
    pipelines: dict[str, LivePipeline] = {}
    used: set[Path] = set()
    for entry, hooks in sorted(by_entry(found, host, PROGRAMS).items()):
        pipeline = _pipeline(entry, hooks, host, gates)
        if pipeline is not None:
            pipelines[pipeline.root] = pipeline
            used |= {directory / hook.pin for hook in hooks} | {directory / (PROGRAMS_PIN + entry)}
            used |= {directory / f"{PARTS_PIN}{number}" for number in pipeline.parts}
            used |= set(uplink_pins(directory, entry)) if pipeline.switch is not None else set()
            used |= {
                directory / name
                for name in socket_pins(pipeline.description.targets, pipeline.entry)
            }
    ours = {index for each in pipelines.values() for index in each.hung}
    suspects = [link for link in host.links if link.alias == label(topology)]
    suspects += [host.by_name[name] for name in names if name in host.by_name]
    known_roots = (each.ifindex for each in pipelines.values())
    suspects += [host.by_index[index] for index in known_roots if index in host.by_index]
    strays = {link.ifindex: link.name for link in suspects if link.ifindex not in ours}
    switched = tuned.read(directory)
    if switched:
        used.add(directory / OFFLOADS_PIN)
    apart = {link.ifindex for link in suspects if link.kind in ("veth", "tun", "tap")}
    broken = [path for path in found if path not in used]
    orphans = frozenset(_programs(broken))
    known = {*orphans, *(number for each in pipelines.values() for number in each.attached)}
    wanted = [host.by_name[name] for name in roots if name in host.by_name]
    return Live(
        topology,
        directory,
        pipelines,
        (*broken, *pins.empty(directory)),
        orphans,
        tuple(
            (name, index)
            for index, name in strays.items()
            if gates.at(index) is not None
            or (index in apart and gates.at(index, clsact.EGRESS) is not None)
        ),
        {link.name: xdp_features(link.ifindex) for link in wanted},
        {
            link.name: attachment(link)
            for link in _near(wanted, host)
            if _program_id(link) not in {None, *known}
        },
        _offloads(host, wanted, (ifindex for ifindex, _ in switched)),
        switched,
    )


def _near(wanted: list[Link], host: Host) -> list[Link]:
    """The devices and those directly above them that have a program."""
    below, masters = {link.ifindex for link in wanted}, {link.master for link in wanted}
    above = (one for one in host.links if one.lower in below or one.ifindex in masters)
    return [*wanted, *(one for one in above if one.xdp is not None and one not in wanted)]


def _offloads(host: Host, wanted: list[Link], switched: Iterable[int]) -> dict[str, Offloads]:
    """Of what XDP may want something of: the devices, ports of theirs, and the other ends of
    veths among them; and of those that something was switched at.
    """
    asked = {link.ifindex for link in wanted}
    found = asked | {link.ifindex for link in host.links if link.master in asked}
    ends = (host.by_index[one].lower for one in found if host.by_index[one].kind == "veth")
    found |= {one for one in ends if one in host.by_index} | set(switched)
    present = sorted(found & host.by_index.keys())
    if not present:
        return {}
    with Ethtool() as ethtool:
        return {host.by_index[one].name: o for one, o in ethtool.offloads(present).items()}


def _program_id(link: Link) -> int | None:
    return link.xdp.program_id if link.xdp is not None else None


def _is_running(host: Host) -> bool:
    """Whether a pipeline is attached somewhere, whosever it is: then it has pins."""
    for link in host.links:
        if link.xdp is not None:
            with program.open_id(link.xdp.program_id) as loaded:
                if loaded.info.name == PIPELINE:
                    return True
    return False


def _is_ours(path: Path) -> bool:
    return path.name.startswith(OUR_PINS) and not path.is_dir()


def _programs(paths: Iterable[Path]) -> Iterator[int]:
    """The programs of those that are pins of links."""
    for path in paths:
        with Object(pins.open_pin(path)) as opened:
            if pins.kind(opened.fd) == "link":
                yield objects.link_info(opened.fd).program_id


def topologies(netns: str) -> list[str]:
    """Names of the topologies that have pins in this namespace."""
    return [pins.plain_name(path.name) for path in pins.entries(pins.ROOT / pins.file_name(netns))]


def _gate(programs: maps.Map) -> int:
    """The id of the pipeline's gate; 0, which no program has, where it lost it."""
    value = programs.lookup(INDEX.pack(GATE))
    return int(INDEX.unpack(value)[0]) if value is not None else 0


def _parts(opened: Mapping[str, maps.Map], switch: LiveSwitch | None) -> Iterator[int]:
    """The arrays of parts: the pipeline's own, that of the police behind the gates, and that of
    the program at devices that frames are redirected into.
    """
    if PARTS in opened:
        yield opened[PARTS].info.id
    members = (opened[PROGRAMS].lookup(INDEX.pack(one)) for one in (POLICE, POLICE_AWAY))
    numbers = {INDEX.unpack(member)[0] for member in members if member is not None}
    if switch is not None:
        numbers |= {one.program_id for one in switch.pinned.values()}
    for number in sorted(numbers):
        with program.open_id(number) as loaded:
            for each in maps.open_named(loaded.info.map_ids).values():
                with each:
                    if each.info.name == PARTS:
                        yield each.info.id


def _pipeline(entry: str, hooks: Sequence[Hook], host: Host, gates: Gates) -> LivePipeline | None:
    """Follow program → maps; None where the description is missing or foreign."""
    with program.open_id(hooks[0].program_id) as loaded:
        opened = maps.open_named(loaded.info.map_ids)
    try:
        if not {META, *ALL} <= opened.keys():
            return None
        try:
            described = Description.decode(opened[META].lookup(INDEX.pack(0)) or b"")
        except ValueError:  # another version's: it is swept up, and made anew
            return None
        return _described(entry, hooks, described, opened, host, gates)
    finally:
        for opened_map in opened.values():
            opened_map.close()


def _described(
    entry: str,
    hooks: Sequence[Hook],
    described: Description,
    opened: Mapping[str, maps.Map],
    host: Host,
    gates: Gates,
) -> LivePipeline:
    """The pipeline of a description and the maps beside it."""
    first = hooks[0]
    ifindex = described.root_ifindex if first.ifindex else 0
    root = host.by_index.get(ifindex)
    entries = {each.ifindex: each for each in _entries(opened[ENTRIES])}
    programs = opened[PROGRAMS]
    pinned = uplink_pins(pins.directory(host.netns, described.topology), entry)
    switch = read_switch(opened, programs, pinned, ifindex, host, gates)
    aside = switch.uplinks if switch is not None else {}
    backstops: dict[str, int] = {}
    leading: list[int] = []
    for hook, is_aside in ((clsact.INGRESS, False), (clsact.EGRESS, True)):
        devices = [index for index in entries if (index in aside) is is_aside]
        backstops |= gates.running(devices, _gate(programs), hook)
        leading += gates.leading_to(devices, programs.info.id, hook)
    return LivePipeline(
        root=root.name if root is not None else described.root,
        entry=entry,
        ifindex=ifindex,
        mode=first.mode,
        program_id=first.program_id,
        description=described,
        maps={name: opened[name].info.id for name in opened},
        slots=tuple(read_slots(opened[SLOTS], deep=described.deep)),
        displacements=read_displacements(opened[DISPLACEMENTS], described.shape),
        entries=entries,
        parts=frozenset(_parts(opened, switch)),
        backstops=backstops | gates.elsewhere(entries, programs.info.id, described.gates),
        known=frozenset([*leading, *_ports(described, host)]),
        sets={
            name: unpack(opened[SETS].lookup(INDEX.pack(one.index)) or bytes(16))
            for name, one in described.sets.items()
        },
        reached=dict(_reached(opened[DEVMAP], described)),
        unpinned=tuple(_unpinned(entry, described, host)),
        hooks=tuple(hook.of(described.root_ifindex) for hook in hooks),
        switch=switch,
    )


def _ports(described: Description, host: Host) -> Iterator[int]:
    """The ports with a policy that are the devices that they were."""
    for name, port in described.ports.items():
        link = host.by_name.get(name)
        if link is not None and link.ifindex == port.ifindex:
            yield port.ifindex


def _unpinned(entry: str, described: Description, host: Host) -> Iterator[str]:
    directory = pins.directory(host.netns, described.topology)
    for name in sorted(socket_pins(described.targets, entry)):
        if not (directory / name).exists():
            yield name


def _reached(opened: maps.Map, described: Description) -> Iterator[tuple[int, int]]:
    for key, number in described.targets.items():
        value = opened.lookup(INDEX.pack(number)) if key.startswith(DEVICE) else None
        if value is not None:
            yield number, INDEX.unpack(value)[0]


def _entries(opened: maps.Map) -> Iterator[Entry]:
    for key, value in opened.items():
        yield Entry(INDEX.unpack(key)[0], *ENTRY.unpack(value))
