"""Numbers for what a pipeline's instructions name by number: sets, and targets of redirects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import LoadedSet
from xdpctl.datapath.loaded import LivePipeline
from xdpctl.datapath.named import SOCKETS, sets_of
from xdpctl.errors import UnsupportedError
from xdpctl.host.state import Host
from xdpctl.policy.set_layout import layout

MOST_TARGETS: Final = 256
MOST_SETS: Final = 1024
"""Elements of the maps that have them. Numbers are given anew when they are used up."""


class Full(Exception):  # noqa: N818 (not an error: the in-place way ends here)
    """The loaded maps have no room for what is wanted."""


def sets_numbered(wanted: Pipeline, loaded: Mapping[str, LoadedSet]) -> dict[str, LoadedSet]:
    """Where each set stands: its map is another one as soon as its kind is another."""
    signatures = {
        name: layout(found).signature for name, found in sets_of(wanted.policies.values()).items()
    }
    kept = {
        name: one.index for name, one in loaded.items() if signatures.get(name) == one.signature
    }
    used = {one.index for one in loaded.values()}
    indexes = numbered(tuple(signatures), kept, MOST_SETS, used)
    return {name: LoadedSet(index, signatures[name]) for name, index in indexes.items()}


def sockets_kept(before: LivePipeline | None) -> dict[str, int]:
    """The targets that outlive a rebuild: programs have sockets in their maps."""
    targets = before.description.targets if before is not None else {}
    return {key: number for key, number in targets.items() if key.startswith(SOCKETS)}


def devices_found(wanted: Pipeline, host: Host) -> dict[str, int]:
    """The ifindexes of the devices that the policies name."""
    return {name: host.by_name[name].ifindex for name in wanted.devices}


def numbered(
    names: tuple[str, ...], loaded: Mapping[str, int], most: int, used: Iterable[int] = ()
) -> dict[str, int]:
    """A number for each name; a name that had one keeps it.

    Raises Full where there is none left, UnsupportedError where there could never be one.
    """
    if len(names) > most:
        raise UnsupportedError(f"the policies of one root name {len(names)} sets or devices: "
                               f"at most {most}")  # fmt: skip
    found = {name: loaded[name] for name in names if name in loaded}
    taken = {*loaded.values(), *used}
    free = (number for number in range(most) if number not in taken)
    for name in names:
        if name not in found:
            number = next(free, None)
            if number is None:
                raise Full
            found[name] = number
    return found
