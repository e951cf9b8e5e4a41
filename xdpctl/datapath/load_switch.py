"""The programs of a root with devices that frames are redirected into, from descriptions."""

from __future__ import annotations

from dataclasses import replace

from xdpctl.bpf import maps, program
from xdpctl.bpf.maps import MapType
from xdpctl.bpf.program import Program
from xdpctl.datapath import bodies, emit, relay, switch
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import Description
from xdpctl.datapath.load import Loaded, load_one, load_parts, rows_of
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.datapath.relay import RelayMaps
from xdpctl.policy.parse import Hook
from xdpctl.topology.model import Policy

UPLINK = "xdpctl_uplink"
"""Name of the program at the devices."""


def policies_at(wanted: Pipeline) -> dict[str, Policy]:
    """The policies that the program at the devices runs: theirs, in both directions."""
    names = {name for seat in wanted.delivered for name in (seat.policy, seat.egress) if name}
    return {name: wanted.policies[name] for name in sorted(names)}


def load_uplink(described: Description, wanted: Pipeline, opened: PipelineMaps) -> Loaded:
    """The program at the devices."""
    assert opened.switch is not None
    policies = policies_at(wanted)
    bindings = opened.bindings(described, Hook.XDP)
    layouts = {name: described.policies[name] for name in policies}
    found = bodies.bodies(emit.stages(policies, layouts), bindings)
    direct = wanted.mode == "native" and wanted.hooks == (wanted.root,)
    handed = maps.create(MapType.PERCPU_ARRAY, 4, switch.HANDED.size, 1, "xdpctl_handed")
    with rows_of(found) as rows, handed:
        fds = switch.UplinkMaps(
            opened.slots.fd, opened.displacements.fd, opened.switch.uplinks.fd,
            opened.switch.deliver.fd, opened.counted(described), rows, bindings,
            opened.ways(described), opened.objects, handed=handed.fd,
        )  # fmt: skip
        parts = load_parts(
            found,
            policies,
            bindings,
            lambda part, named: switch.assemble_uplink_part(
                described, part, replace(fds, parts=named), direct=direct
            ),
            wanted.sources,
        )
        fds = replace(fds, parts=parts.named if parts else None)
        asm = switch.assemble_uplink(described, found, fds, direct=direct)
        loaded = load_one(asm, program.Flavour.XDP, UPLINK, wanted.sources, policies.values())
    return Loaded(loaded, parts.array if parts else None)


def load_relay(described: Description, opened: PipelineMaps) -> Program:
    """The program behind it, at tc ingress."""
    asm = relay.assemble_relay(described, _maps(opened))
    return load_one(asm, program.Flavour.TC, "xdpctl_relay", {})


def load_flood(described: Description, opened: PipelineMaps) -> Program:
    """The program at the root's tc ingress."""
    asm = relay.assemble_flood(described, _maps(opened))
    return load_one(asm, program.Flavour.TC, "xdpctl_flood", {})


def _maps(opened: PipelineMaps) -> RelayMaps:
    assert opened.switch is not None
    return RelayMaps(
        opened.slots.fd, opened.displacements.fd, opened.switch.uplinks.fd,
        opened.switch.places.fd, opened.switch.capacity,
    )  # fmt: skip
