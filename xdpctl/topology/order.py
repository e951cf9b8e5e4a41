"""The order of a stack: lower devices before the ones above them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xdpctl.topology.model import Device


def lowers(device: Device) -> tuple[str, ...]:
    """The devices right below: the parent, and the ports."""
    return device.ports if device.parent is None else (device.parent, *device.ports)


def ordered(devices: Mapping[str, Device]) -> dict[str, Device]:
    """The devices, each after all it stands on, else in the order given. There is no cycle."""
    result: dict[str, Device] = {}
    for name in devices:
        stack = [name]
        while stack:
            device = devices[stack[-1]]
            missing = [
                below for below in lowers(device) if below in devices and below not in result
            ]
            if missing:
                stack.extend(reversed(missing))
            else:
                result.setdefault(device.name, device)
                stack.pop()
    return result


def cycles(devices: Mapping[str, Device]) -> Iterator[list[str]]:
    """Each cycle once, as the names along it, starting with the first in the file's order."""
    done: set[str] = set()
    for start, device in devices.items():
        if all(below in done or below not in devices for below in lowers(device)):
            done.add(start)  # as nearly all of thousands do, it stands on what is done
            continue
        path: list[str] = []
        walk: list[Iterator[str]] = [iter((start,))]
        while walk:
            name = next(walk[-1], None)
            if name is None:
                walk.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                yield path[path.index(name) :]
            elif name in devices and name not in done:
                path.append(name)
                walk.append(iter(lowers(devices[name])))
