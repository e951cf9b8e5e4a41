"""What the instructions of policies refer to: maps by descriptor, devices by ifindex."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from xdpctl.policy.parse_state import Hook
from xdpctl.record import record
from xdpctl.topology.model import Rule


@record
class Bindings:
    """One pipeline's maps and devices.

    hook     where the policies run
    sets     the array of maps that has a set's entries, by the set's name (members.py)
    limits   an array of 8 bytes a counter: when the next packet of a limit is due (limit.py)
    samples  the ring buffer of `log` (sample.py)
    devices  ifindexes of the ports that `meta.port` names
    targets  numbers of what frames are redirected to, by `target_key`
    place    what samples have instead of the device's ifindex (0: that)
    """

    hook: Hook = Hook.XDP
    sets: Mapping[str, int] = field(default_factory=dict)
    limits: int = 0
    samples: int = 0
    devices: Mapping[str, int] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)
    place: int = 0


def target_key(rule: Rule) -> str:
    """What a rule's target is called among the targets: a device and a name may be alike."""
    return f"{rule.action} {rule.target}"
