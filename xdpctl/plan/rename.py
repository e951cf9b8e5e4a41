"""A topology with its roots under the names that they have on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xdpctl.errors import ConflictError
from xdpctl.topology.closure import closure
from xdpctl.topology.model import Device, Policy, Rule, Topology


def renamed(topology: Topology, names: Mapping[str, str]) -> Topology:
    """The topology with each device of `names` (found by `match:`) called by its live name.

    Raises ConflictError where two devices of the file turn out to be one.
    """
    if all(name == live for name, live in names.items()):
        return topology
    devices: dict[str, Device] = {}
    for device in topology.devices.values():
        one = rename(device, names)
        if one.name in devices:
            raise ConflictError(f"{device.location}: {device.name} is {one.name}, named already")
        devices[one.name] = one
    return replace(topology, devices=devices, policies=_policies(topology.policies, names))


def _policies(policies: Mapping[str, Policy], names: Mapping[str, str]) -> dict[str, Policy]:
    """The policies with live names where they name devices; what others lead to comes first."""
    done: dict[int, Policy] = {}
    for policy in policies.values():
        for one in reversed(closure(policy)):
            if id(one) not in done:
                rules = tuple(_rule(rule, names, done) for rule in one.rules)
                done[id(one)] = replace(one, rules=rules)
    return {name: done[id(policy)] for name, policy in policies.items()}


def _rule(rule: Rule, names: Mapping[str, str], done: Mapping[int, Policy]) -> Rule:
    return replace(
        rule,
        conditions=tuple(
            replace(one, devices=tuple(sorted(names.get(name, name) for name in one.devices)))
            for one in rule.conditions
        ),
        target=names.get(rule.target, rule.target) if rule.action == "redirect" else rule.target,
        into=done[id(rule.into)] if rule.into is not None else None,
    )


def rename(device: Device, names: Mapping[str, str]) -> Device:
    """One device with live names wherever it names one."""
    return replace(
        device,
        name=names.get(device.name, device.name),
        parent=names.get(device.parent, device.parent) if device.parent else None,
        ports=tuple(names.get(port, port) for port in device.ports),
        port_properties={
            names.get(port, port): values for port, values in device.port_properties.items()
        },
    )
