"""What differs in what policies name: entries of sets, devices that were made anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.named import DEVICE, sets_of
from xdpctl.datapath.set_maps import contents
from xdpctl.host.state import Host

Pair = tuple[str | None, str | None]


def named(
    before: LivePipeline, after: Pipeline, host: Host, vanishing: Collection[str]
) -> dict[str, Pair]:
    """What is loaded and what is wanted, by what the user reads in the plan."""
    pins = {f"pin {name}": (None, "there") for name in before.unpinned}
    return dict([*_sets(before, after), *_devices(before, after, host, vanishing)]) | pins


def _sets(before: LivePipeline, after: Pipeline) -> Iterator[tuple[str, Pair]]:
    wanted = {name: contents(one) for name, one in sets_of(after.policies.values()).items()}
    for name in sorted(before.sets.keys() | wanted.keys()):
        loaded, new = before.sets.get(name), wanted.get(name)
        old = str(loaded) if loaded is not None else "not known" if name in before.sets else None
        yield f"set {name}", (old, str(new) if new is not None else None)


def _devices(
    before: LivePipeline, after: Pipeline, host: Host, vanishing: Collection[str]
) -> Iterator[tuple[str, Pair]]:
    """Programs know devices by their ifindex; the map of targets forgets one that is deleted."""
    for name in after.devices:
        link = host.by_name.get(name)
        loaded = before.description.devices.get(name)
        there = link is not None and name not in vanishing and link.ifindex == loaded
        number = before.description.targets.get(DEVICE + name)
        there &= number is None or before.reached.get(number) == loaded
        if loaded is not None and not there:
            yield f"device {name}", (f"ifindex {loaded}", "a new one")
