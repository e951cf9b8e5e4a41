"""What a loaded pipeline is made of, written down in a map that lives and dies with its program.

The map `xdpctl_meta` is bound to the root's program, so replacing the program replaces its
description in the same instant: there is no state file that could disagree with the kernel.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import astuple, field
from typing import Any, Literal

from xdpctl.datapath.hashing import Shape
from xdpctl.datapath.policy_layout import PolicyLayout, RuleCounter
from xdpctl.record import record
from xdpctl.topology.model import Verdict

FORMAT = 5
_LENGTH = struct.Struct("=I")


@record
class LoadedSet:
    """Which map a set stands in, and what its look-up was compiled for (Layout.signature)."""

    index: int
    signature: str


@record
class PortStage:
    """A port of the root with a policy of its own: its ifindex, the policy's name, its block."""

    ifindex: int
    policy: str
    block: int


@record
class Levels:
    """Names of the policies that the pipeline runs above the root, by where they stand.

    tags     those of VLAN devices, outer tags first; as many as there are levels of tags
    bridges  those of the bridge that devices stand on
    devices  those of the devices that frames are for
    """

    tags: tuple[tuple[str, ...], ...] = ()
    bridges: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


@record
class Description:
    """A pipeline as loaded.

    root_policy, root_block   the root's own stage (None: it has none) and its counter block
    mode                      native: devices' policies run in the pipeline; generic: at the devices
    nonce                     what marks a frame that has passed a policy in this pipeline
    unknown                   what happens to unicast for no stacked device
    catch_all                 a passthru device takes it instead: the slot after the last
    shape                     of the dispatcher's perfect hash
    counters                  how many counters the map holds
    sets                      by name
    devices                   ifindexes of the devices that policies name
    targets                   numbers of what frames are redirected to (bindings.target_key)
    objects                   the maps of users' objects, by policy; known once they are loaded
    deep                      there are VLANs or a bridge between the root and devices (demux.py)
    ports                     ports with a policy of their own, by name; in native mode
    levels                    which policies the pipeline runs where
    root_ifindex              the root's
    uplink                    id of the program at devices that frames are redirected into (0: none)
    """

    topology: str
    root: str
    mode: Literal["native", "generic"]
    root_policy: str | None
    root_block: int
    nonce: int
    unknown: Verdict
    catch_all: bool
    shape: Shape
    counters: int
    policies: Mapping[str, PolicyLayout]
    sets: Mapping[str, LoadedSet] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, LoadedMaps] = field(default_factory=dict, compare=False)
    deep: bool = False
    ports: Mapping[str, PortStage] = field(default_factory=dict)
    levels: Levels = Levels()
    root_ifindex: int = 0
    uplink: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """The map's value: the length, then JSON that `bpftool map dump` shows readably."""
        text = json.dumps(_plain(self), separators=(",", ":")).encode()
        return _LENGTH.pack(len(text)) + text

    @classmethod
    def decode(cls, value: bytes) -> Description:
        """Read back what `encode` wrote; raises ValueError for another format."""
        (length,) = _LENGTH.unpack_from(value)
        return _parsed(json.loads(value[_LENGTH.size : _LENGTH.size + length]))

    @property
    def gates(self) -> str:
        """Which instructions the gates have: `g` where nothing is marked, `d` for longer marks."""
        return ("d" if self.deep else "") if self.mode == "native" else "g"

    def by_index(self) -> dict[int, PolicyLayout]:
        """Policies by their index in the dispatch."""
        return {policy.index: policy for policy in self.policies.values()}


LoadedMaps = tuple[str, Mapping[str, int]]
"""The digest of an object, and the ids of its maps by name."""


def _rows(rules: tuple[RuleCounter, ...]) -> list[list[Any]]:
    return [[*astuple(rule)] for rule in rules]


def _plain(described: Description) -> dict[str, Any]:
    shape = described.shape
    return {
        "format": FORMAT,
        "topology": described.topology,
        "root": described.root,
        "mode": described.mode,
        "policy": described.root_policy,
        "block": described.root_block,
        "nonce": described.nonce,
        "unknown": described.unknown,
        "catch_all": described.catch_all,
        "shape": [shape.bucket_bits, shape.slot_bits, shape.multiplier],
        "counters": described.counters,
        "sets": {name: [*astuple(one)] for name, one in described.sets.items()},
        "devices": dict(described.devices),
        "targets": dict(described.targets),
        "objects": dict(described.objects),
        "deep": described.deep,
        "ports": {name: [*astuple(port)] for name, port in described.ports.items()},
        "levels": [*astuple(described.levels)],
        "root_ifindex": described.root_ifindex,
        "uplink": described.uplink,
        "policies": {
            name: {
                "index": policy.index,
                "digest": policy.digest,
                "default": policy.default,
                "rules": _rows(policy.rules),
                "retired": _rows(policy.retired),
                "room": policy.room,
            }
            for name, policy in described.policies.items()
        },
    }


def _parsed(plain: dict[str, Any]) -> Description:
    if plain.get("format") != FORMAT:
        raise ValueError(f"a pipeline described in format {plain.get('format')}, not {FORMAT}")
    policies = {
        name: PolicyLayout(
            name=name,
            index=row["index"],
            digest=row["digest"],
            default=row["default"],
            rules=tuple(RuleCounter(*rule) for rule in row["rules"]),
            retired=tuple(RuleCounter(*rule) for rule in row["retired"]),
            room=row["room"],
        )
        for name, row in plain["policies"].items()
    }
    tags, bridges, devices = plain["levels"]
    return Description(
        topology=plain["topology"],
        root=plain["root"],
        mode=plain["mode"],
        root_policy=plain["policy"],
        root_block=plain["block"],
        nonce=plain["nonce"],
        unknown=plain["unknown"],
        catch_all=plain["catch_all"],
        shape=Shape(*plain["shape"]),
        counters=plain["counters"],
        policies=policies,
        sets={name: LoadedSet(*row) for name, row in plain["sets"].items()},
        devices=plain["devices"],
        targets=plain["targets"],
        objects={name: (digest, ids) for name, (digest, ids) in plain["objects"].items()},
        deep=plain["deep"],
        ports={name: PortStage(*row) for name, row in plain["ports"].items()},
        levels=Levels(tuple(map(tuple, tags)), tuple(bridges), tuple(devices)),
        root_ifindex=plain["root_ifindex"],
        uplink=plain.get("uplink", 0),
    )
