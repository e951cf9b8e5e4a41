"""What XDP needs of devices beside their link properties: the table of needs, and who has them.

A need is a feature of ethtool by the kernel's name that must be on or off at a device. To ask for
something in another situation, add a row to NEEDS and a function that finds the devices; that they
are read beforehand is the affair of `xdpctl.datapath.live`, that of new ones is told by BORN of
`xdpctl.plan.offloads`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.named import redirected_to
from xdpctl.datapath.support import ports_of
from xdpctl.host.state import Host
from xdpctl.record import record
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Topology


@record
class Need:
    """A feature that must be on (`wanted`) or off at a device, and a sentence that says why.

    away  the device is the other end of a veth, in another network namespace: `device` is the end
          that is here, and only the user can switch anything
    """

    device: str
    feature: str
    wanted: bool
    why: str
    away: bool = False


@record
class Scene:
    """One pipeline, and where it stands. `policed` are the roots of all: they have a program."""

    topology: Topology
    pipeline: Pipeline
    host: Host
    policed: AbstractSet[str]


@record
class Spot:
    """A device of which something is needed; `away` as in Need."""

    device: str
    away: bool = False


@record
class Row:
    """One situation: which devices, which features of them, on or off, and why."""

    where: Callable[[Scene], Iterator[Spot]]
    features: tuple[str, ...]
    wanted: bool
    why: str


def needs(topology: Topology, pipelines: Sequence[Pipeline], host: Host) -> list[Need]:
    """All needs of a topology's pipelines; of two for one feature of a device, the first."""
    policed = frozenset(pipeline.root for pipeline in pipelines)
    found: dict[tuple[str, str, bool], Need] = {}
    for pipeline in pipelines:
        scene = Scene(topology, pipeline, host, policed)
        for row in NEEDS:
            for spot in row.where(scene):
                for feature in row.features:
                    need = Need(spot.device, feature, row.wanted, row.why, spot.away)
                    found.setdefault((need.device, feature, need.away), need)
    return list(found.values())


# --- who


def stripping(scene: Scene) -> Iterator[Spot]:
    """The NICs that frames come in by, where tags matter: the root, or its ports."""
    if tags_matter(scene):
        yield from (Spot(name) for name in entrances(scene) if not is_veth(scene, name))


def passing_tags(scene: Scene) -> Iterator[Spot]:
    """The other ends of veths that frames come in by, where tags matter: such an end puts the tag
    beside the frame, and there it stays (drivers/net/veth.c hands the skb over as it is).
    """
    if tags_matter(scene):
        yield from (end for name in entrances(scene) if (end := other_end(scene, name)))


def merging(scene: Scene) -> Iterator[Spot]:
    """The NICs that a native program stands on. (The kernel sees to it for a generic one,
    net/core/dev.c, generic_xdp_install.)
    """
    if scene.pipeline.mode == "native":
        yield from map(Spot, entrances(scene))


def sleeping(scene: Scene) -> Iterator[Spot]:
    """The other ends of veths that frames are redirected to, where no program keeps NAPI on
    (veth_xdp_xmit); one that is elsewhere is judged with its target.
    """
    for target in redirected_to(scene.pipeline.targets):
        end = other_end(scene, target)
        if end is None or end.away or {target, end.device} & scene.policed:
            continue
        link = scene.host.by_name.get(end.device)
        if link is None or link.xdp is None:
            yield end


def awaiting(scene: Scene) -> Iterator[Spot]:
    """The same of devices that frames are redirected into, and of a root that what comes from them
    goes out of.
    """
    switched = [seat.device for seat in scene.pipeline.delivered]
    for name in (*switched, *([scene.pipeline.root] if switched else [])):
        end = other_end(scene, name)
        link = scene.host.by_name.get(end.device) if end is not None else None
        if end is not None and (end.away or link is None or link.xdp is None):
            yield end


def summing(scene: Scene) -> Iterator[Spot]:
    """Who leaves checksums to the device: the other ends of veths that XDP takes frames of, and
    taps whose reader gets no virtio header that would say so.
    """
    root = other_end(scene, scene.pipeline.root) if scene.pipeline.delivered else None
    if root is not None:
        yield root
    for seat in scene.pipeline.delivered:
        end = other_end(scene, seat.device)
        if end is not None:
            yield end
        elif not scene.topology.devices[seat.device].properties.get("vnet_hdr"):
            yield Spot(seat.device)


NEEDS: tuple[Row, ...] = (
    Row(stripping, ("rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"), False,
        "XDP sees no tag that the NIC has stripped"),
    Row(passing_tags, ("tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"), False,
        "XDP sees no tag that this end of the veth puts beside the frame"),
    Row(merging, ("rx-lro", "rx-gro-hw"), False,
        "native XDP takes frames as they came, not merged by the NIC"),
    Row(sleeping, ("rx-gro",), True,
        "a veth takes frames from XDP only while its other end has GRO or a program"),
    Row(awaiting, ("rx-gro",), True,
        "a veth takes frames from XDP only while its other end has GRO or a program"),
    Row(summing, ("tx-checksum-ip-generic",), False,
        "a frame that XDP redirects has the checksum that it came with"),
)  # fmt: skip


# --- what they are told by


def tags_matter(scene: Scene) -> bool:
    """Whether anything that runs at the root's hook looks at tags. Behind a generic program there
    is the root's own policy alone, and tags are hidden from it all the same.
    """
    pipeline = scene.pipeline
    if pipeline.mode == "native":
        kinds = {scene.topology.devices[seat.device].kind for seat in pipeline.seats}
        looked_at = list(pipeline.policies.values())
    else:
        kinds = set()
        looked_at = [pipeline.policies[pipeline.policy]] if pipeline.policy else []
    return "vlan" in kinds or any(
        key.startswith("vlan.")
        for policy in looked_at
        for one in closure(policy)
        for rule in one.rules
        for condition in rule.conditions
        for key in condition.keys
    )


def entrances(scene: Scene) -> tuple[str, ...]:
    """The devices that the root's frames come in by: its ports, or itself."""
    root = scene.topology.devices[scene.pipeline.root]
    return ports_of(root, scene.host) or scene.pipeline.hooks


def is_veth(scene: Scene, name: str) -> bool:
    """Whether the device is an end of a veth, whatever the file calls it."""
    link, device = scene.host.by_name.get(name), scene.topology.devices.get(name)
    return link.kind == "veth" if link else bool(device and device.kind == "veth")


def other_end(scene: Scene, name: str) -> Spot | None:
    """The other end of a veth; None for what is none."""
    if not is_veth(scene, name):
        return None
    link, device = scene.host.by_name.get(name), scene.topology.devices.get(name)
    if link is not None and link.lower_elsewhere:
        return Spot(name, away=True)
    here = scene.host.by_index.get(link.lower) if link is not None and link.lower else None
    named = device.properties.get("peer") if device is not None else None
    end = str(named) if named else here.name if here is not None else None
    if end is None:
        return None
    wanted, live = scene.topology.devices.get(end), scene.host.by_name.get(end)
    if (wanted is not None and wanted.netns) or (live is not None and live.away is not None):
        return Spot(name, away=True)  # in the namespace that the file gives it
    return Spot(end)
