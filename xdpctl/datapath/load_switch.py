"""The programs of a root with devices that frames are redirected into, from descriptions."""

from __future__ import annotations

from collections.abc import Mapping

from xdpctl.bpf import program
from xdpctl.bpf.program import Program
from xdpctl.datapath import bodies, emit, relay, switch
from xdpctl.datapath.blueprint import Pipeline
from xdpctl.datapath.description import Description
from xdpctl.datapath.load import load_one, rows_of
from xdpctl.datapath.pipeline_maps import PipelineMaps
from xdpctl.datapath.relay import RelayMaps
from xdpctl.errors import UnsupportedError
from xdpctl.policy.parse import Hook
from xdpctl.topology.model import Policy

UPLINK = "xdpctl_uplink"
"""Name of the program at the devices."""


def policies_at(wanted: Pipeline) -> dict[str, Policy]:
    """The policies that the program at the devices runs: theirs, in both directions."""
    names = {name for seat in wanted.delivered for name in (seat.policy, seat.egress) if name}
    return {name: wanted.policies[name] for name in sorted(names)}


def load_uplink(described: Description, wanted: Pipeline, opened: PipelineMaps) -> Program:
    """The program at the devices; raises UnsupportedError where their policies do not fit one."""
    assert opened.switch is not None
    policies = policies_at(wanted)
    bindings = opened.bindings(described, Hook.XDP)
    layouts = {name: described.policies[name] for name in policies}
    found = bodies.bodies(emit.stages(policies, layouts), bindings)
    if bodies.is_split(bodies.parts(found, bindings)):
        raise UnsupportedError(_refusal(policies))
    with rows_of(found) as rows:
        fds = switch.UplinkMaps(
            opened.slots.fd, opened.displacements.fd, opened.switch.uplinks.fd,
            opened.switch.deliver.fd, opened.counted(described), rows, bindings,
            opened.ways(described),
        )  # fmt: skip
        direct = wanted.mode == "native" and wanted.hooks == (wanted.root,)
        asm = switch.assemble_uplink(described, found, fds, direct=direct)
        return load_one(asm, program.Flavour.XDP, UPLINK, wanted.sources, policies.values())


def _refusal(policies: Mapping[str, Policy]) -> str:
    for policy in policies.values():
        if policy.object is not None:
            return (
                f"{policy.location}: policy {policy.name}: no program of an ELF object runs at a "
                "device with deliver: redirect"
            )
    return "the policies of the devices with deliver: redirect do not fit one program"


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
