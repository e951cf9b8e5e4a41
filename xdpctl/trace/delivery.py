"""Which device above takes a frame that a device has received, as the kernel's stack decides.

net/core/dev.c (a VLAN's tag first, then the rx_handler), drivers/net/macvlan.c
(macvlan_handle_frame). Frames that nothing above takes are the device's own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from xdpctl.topology.model import Device, Value
from xdpctl.trace.scene import Scene, vlan_tag

MACVLANS = ("macvlan", "macvtap")


def is_group(frame: bytes) -> bool:
    """Whether the frame is for a group: broadcast or multicast."""
    return bool(frame[0] & 1)


def takers(scene: Scene, device: str, frame: bytes) -> list[tuple[Device, bytes]]:
    """The devices right above `device` that take the frame, each with what it gets of it.

    Several for a frame to a group: each macvlan gets a copy.
    """
    above = scene.above.get(device, [])
    for upper in above:
        if upper.kind == "vlan" and _is_tagged(upper, frame):
            return [(upper, frame[:12] + frame[16:])]
    macvlans = [upper for upper in above if upper.kind in MACVLANS]
    delivered = [upper for upper in above if upper.deliver is not None]
    found = [*_macvlans(scene, macvlans, frame), *_delivered(scene, delivered, frame)]
    return [(upper, frame) for upper in found]


def _is_tagged(vlan: Device, frame: bytes) -> bool:
    if len(frame) < 18:
        return False
    protocol, control = struct.unpack_from("!HH", frame, 12)
    tag = vlan_tag(vlan)
    return (protocol, control & 0xFFF) == (tag.protocol, tag.id)


def _macvlans(scene: Scene, macvlans: list[Device], frame: bytes) -> Iterator[Device]:
    to, source = frame[:6].hex(":"), frame[6:12].hex(":")
    for one in macvlans:
        mode = one.properties.get("mode")
        if mode == "passthru":
            yield one
        elif mode == "source":
            if source in _sources(one.properties.get("macaddr", ())):
                yield one
        elif is_group(frame) or scene.addresses[one.name] == to:
            yield one


def _delivered(scene: Scene, devices: list[Device], frame: bytes) -> Iterator[Device]:
    """Of those that frames are redirected into: what is for nobody has no one way to be told."""
    to = frame[:6].hex(":")
    yield from (one for one in devices if is_group(frame) or scene.addresses[one.name] == to)


def _sources(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else (value,)
