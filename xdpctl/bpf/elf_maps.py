"""The maps of a user's object: which are made, which are gone on with, where they are pinned."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from xdpctl.bpf import objects, pins
from xdpctl.bpf.libbpf import call, library
from xdpctl.errors import ConflictError, XdpctlError
from xdpctl.record import record

_RDONLY_PROG: Final = 1 << 7
_ADDED_FLAGS: Final = {14: _RDONLY_PROG, 25: _RDONLY_PROG}  # DEVMAP, DEVMAP_HASH
"""Flags that the kernel adds to a map of a type."""
CONSTANT: Final = (".rodata", ".kconfig")
"""Their contents belong to the code: never those of another."""


@record
class UserMap:
    """An open map of an object; `kept` if it was there before, with its contents."""

    fd: int
    id: int
    kept: bool


@record
class _Shape:
    type: int
    key: int
    value: int
    entries: int
    flags: int

    def __str__(self) -> str:
        return (
            f"type {self.type}, keys of {self.key} and values of {self.value} bytes, "
            f"{self.entries} entries, flags {self.flags:#x}"
        )


def prepare(
    handle: int,
    file: str,
    wanted: Mapping[str, Path],
    kept: Mapping[str, int],
    *,
    private: bool,
) -> set[str]:
    """Before the object is loaded: have maps pinned or taken over; the names of those taken over.

    A map that is pinned is the one that is taken, whatever `kept` says.
    """
    found = dict(_maps(handle))
    for name in wanted:
        if name not in found:
            raise XdpctlError(f"{file} has no map {name} (it has {', '.join(found) or 'none'})")
    shared = set()
    for name, each in found.items():
        if private:
            call("bpf_map__set_pin_path", each, None)
        elif name in wanted:
            call("bpf_map__set_pin_path", each, os.fsencode(wanted[name]))
        path = library().bpf_map__pin_path(each)  # may be the object's own (LIBBPF_PIN_BY_NAME)
        if path is not None:
            if _take_pinned(each, file, name, Path(os.fsdecode(path))):
                shared.add(name)
        elif name in kept and not private and _is_same(kept[name], name, each):
            call("bpf_map__reuse_fd", each, kept[name], operation=f"go on with map {name}")
            shared.add(name)
    return shared


def _is_same(fd: int, name: str, each: int) -> bool:
    declared = _declared(each)
    return not name.startswith(CONSTANT) and _shape_of(fd, declared) == declared


def opened(handle: int, shared: set[str]) -> dict[str, UserMap]:
    """The maps of a loaded object."""
    result = {}
    for name, each in _maps(handle):
        fd = library().bpf_map__fd(each)
        if fd >= 0:
            result[name] = UserMap(fd, objects.map_info(fd).id, name in shared)
    return result


def _maps(handle: int) -> Iterator[tuple[str, int]]:
    """Names as in the source; those of global variables without the object's name before them."""
    each = library().bpf_object__next_map(handle, None)
    while each:
        name = library().bpf_map__name(each).decode()
        if library().bpf_map__is_internal(each):
            name = name[name.index(".") :]
        yield name, each
        each = library().bpf_object__next_map(handle, each)


def _take_pinned(each: int, file: str, name: str, path: Path) -> bool:
    """Whether a map is pinned there, which libbpf then takes; ConflictError if it is another."""
    if not path.exists():
        return False
    with objects.Object(pins.open_pin(path)) as pinned:
        if pins.kind(pinned.fd) != "map":
            raise ConflictError(f"{path} is no map, but a {pins.kind(pinned.fd)}")
        declared = _declared(each)
        there = _shape_of(pinned.fd, declared)
    if there != declared:
        raise ConflictError(
            f"the map pinned at {path} is not the {name} of {file}: {there}; wanted: {declared}",
            hint=f"remove it (rm {path}), or pin {name} somewhere else",
        )
    return True


def _declared(each: int) -> _Shape:
    loaded = library()
    return _Shape(
        loaded.bpf_map__type(each),
        loaded.bpf_map__key_size(each),
        loaded.bpf_map__value_size(each),
        loaded.bpf_map__max_entries(each),
        loaded.bpf_map__map_flags(each),
    )


def _shape_of(fd: int, declared: _Shape) -> _Shape:
    """A live map's shape; 0 entries are declared where libbpf or the kernel picks a number."""
    info = objects.map_info(fd)
    entries = info.max_entries if declared.entries else 0
    flags = info.flags & ~(_ADDED_FLAGS.get(info.type, 0) & ~declared.flags)
    return _Shape(info.type, info.key_size, info.value_size, entries, flags)
