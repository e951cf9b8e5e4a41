"""What `show` says: devices, attachments, counters and drift, by the contract of its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xdpctl.bpf import maps
from xdpctl.datapath import map_names
from xdpctl.datapath.counter_map import Counted
from xdpctl.datapath.drift import drifted
from xdpctl.datapath.layout import DEFAULT, FLOOD, FLOODED, MALFORMED, UNKNOWN, Counters
from xdpctl.datapath.loaded import Entry, Live, LivePipeline
from xdpctl.datapath.policy_layout import PolicyLayout, RuleCounter
from xdpctl.datapath.seats import shown
from xdpctl.datapath.switch_maps import Uplink
from xdpctl.host.links import label
from xdpctl.host.state import Host, Link
from xdpctl.topology.model import Outcome

FORMAT = 1
VERDICTS: tuple[Outcome, ...] = ("pass", "drop", "tx", "redirect")
NOTHING = Counters()


def report(host: Host, state: Live, drift: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The document of `show` for the topology that `state` was read of.

    Reads the counters, so it needs what reading BPF maps needs. `drift` are a plan's actions
    where a file says what should be; without one, what the kernel's own state gives away.
    """
    stages = dict(_stages(state))
    devices = {
        link.name: _device(link, host, state, stages.get(link.ifindex))
        for link in _links(host, state)
    }
    return {
        "format": FORMAT,
        "topology": state.topology,
        "devices": devices,
        "drift": drifted(host, state) if drift is None else drift,
    }


def _links(host: Host, state: Live) -> list[Link]:
    """The topology's devices, lower before upper: what it owns, what that stands on, its roots."""
    owned = [link for link in host.links if link.alias == label(state.topology)]
    found = {link.ifindex: link for link in owned}
    for link in owned:
        apart = link.kind == "veth" and link.ifindex in delivering(state)
        lower = host.by_index.get(link.lower) if link.lower is not None and not apart else None
        if lower is not None:
            found[lower.ifindex] = lower
    for pipeline in state.pipelines.values():
        known = {pipeline.ifindex, *pipeline.backstops.values()}
        known |= {hook.ifindex for hook in pipeline.hooks}
        known |= {port.ifindex for port in pipeline.description.ports.values()}
        known |= {*(pipeline.switch.uplinks if pipeline.switch is not None else ())}
        found |= {ifindex: host.by_index[ifindex] for ifindex in known & host.by_index.keys()}
    return sorted(found.values(), key=lambda link: (_depth(link, host), link.ifindex))


def _depth(link: Link, host: Host) -> int:
    """How many devices stand below this one; a veth's peer is beside it, not below."""
    depth = 0
    while link.lower is not None and link.kind != "veth" and link.lower in host.by_index:
        link, depth = host.by_index[link.lower], depth + 1
    return depth


def _device(link: Link, host: Host, state: Live, xdp: dict[str, Any] | None) -> dict[str, Any]:
    """A device that does not carry our label is `physical`, whatever its driver: the file's word
    for what exists already.
    """
    owned = link.alias == label(state.topology)
    lower = host.by_index.get(link.lower) if link.lower is not None else None
    below = lower.name if lower is not None and link.kind != "veth" else None
    return {
        "kind": link.kind if owned else "physical",
        "ifindex": link.away.ifindex if link.away is not None else link.ifindex,
        **({"netns": link.netns} if link.away is not None else {}),
        "parent": below or delivering(state).get(link.ifindex),
        "state": link.properties["state"],
        "xdp": xdp or _nothing(),
    }


def delivering(state: Live) -> dict[int, str]:
    """The roots whose frames are redirected into devices, by the devices' ifindexes."""
    found = ((each.root, each.switch) for each in state.pipelines.values())
    return {index: root for root, live in found if live is not None for index in live.uplinks}


def _nothing() -> dict[str, Any]:
    return {"mode": "none", "policy": None, "rules": [], "verdicts": _verdicts({})}


def _verdicts(totals: Mapping[Outcome, Counters]) -> dict[str, Any]:
    return {verdict: totals.get(verdict, NOTHING).document() for verdict in VERDICTS}


def _stages(state: Live) -> Iterable[tuple[int, dict[str, Any]]]:
    """The `xdp` part of every device that a pipeline knows, by ifindex."""
    for pipeline in state.pipelines.values():
        with maps.open_id(pipeline.maps[map_names.COUNTERS]) as opened:
            counted = Counted(opened)
        modes = _modes(pipeline)
        for ifindex, mode in modes.items():
            yield ifindex, _nothing() | {"mode": mode}
        yield pipeline.ifindex, _root(pipeline, counted)
        layouts = pipeline.description.by_index()
        aside = pipeline.switch.uplinks if pipeline.switch is not None else {}
        for entry in pipeline.entries.values():
            mode = modes.get(entry.ifindex, "generic")
            stage = _stage(mode, layouts[entry.policy], entry, counted)
            if entry.ifindex in aside:
                stage |= _egress(layouts, aside[entry.ifindex], counted)
            yield entry.ifindex, stage
        for index in aside.keys() - pipeline.entries.keys():
            mode = "dispatched" if pipeline.mode == "native" else "generic"
            yield index, _nothing() | {"mode": mode} | _egress(layouts, aside[index], counted)


def _modes(pipeline: LivePipeline) -> dict[int, str]:
    """How a program of ours runs on each device that the pipeline polices, by ifindex."""
    native = pipeline.mode == "native"
    dispatched = {slot.ifindex for slot in pipeline.slots if slot.policy and native}
    dispatched |= {port.ifindex for port in pipeline.description.ports.values()}
    hooks = {hook.ifindex: hook.mode for hook in pipeline.hooks if hook.ifindex}
    return dict.fromkeys(dispatched, "dispatched") | hooks


def _root(pipeline: LivePipeline, counted: Counted) -> dict[str, Any]:
    """The root's own stage; frames for nobody count on its verdicts as well."""
    described = pipeline.description
    block, unknown = described.root_block, counted[described.root_block + UNKNOWN]
    layout = described.policies.get(described.root_policy or "")
    if layout is None:
        totals: dict[Outcome, Counters] = {described.unknown: unknown}
        rules: list[dict[str, Any]] = []
    else:
        totals = _totals(layout, block, counted)
        if described.unknown == "drop":  # they passed the root's policy before
            totals["pass"] -= unknown
            totals["drop"] += unknown
        rules = _rules(layout, block, counted)
    return {
        "mode": "dispatched" if pipeline.on_ports else pipeline.mode,
        "policy": described.root_policy,
        "rules": rules,
        "malformed": counted[block + MALFORMED].document(),
        "unknown": unknown.document(),
        "verdicts": _verdicts(totals),
    }


def _stage(mode: str, layout: PolicyLayout, entry: Entry, counted: Counted) -> dict[str, Any]:
    totals = _totals(layout, entry.block, counted)
    flooded = counted[entry.block + FLOODED]
    if entry.flood != FLOOD["enforce"]:
        totals["pass" if entry.flood == FLOOD["pass"] else "drop"] += flooded
    return {
        "mode": mode,
        "policy": shown(layout.name),
        "rules": _rules(layout, entry.block, counted) if shown(layout.name) else [],
        "malformed": counted[entry.block + MALFORMED].document(),
        "flooded": flooded.document(),
        "verdicts": _verdicts(totals),
    }


def _egress(
    layouts: Mapping[int, PolicyLayout], uplink: Uplink, counted: Counted
) -> dict[str, Any]:
    """What comes from a device that frames are redirected into."""
    layout, block = layouts.get(uplink.policy), uplink.block
    if layout is None:
        return {"deliver": "redirect", "egress": None}
    egress = {
        "policy": layout.name,
        "rules": _rules(layout, block, counted),
        "malformed": counted[block + MALFORMED].document(),
        "verdicts": _verdicts(_totals(layout, block, counted)),
    }
    return {"deliver": "redirect", "egress": egress}


def _rules(layout: PolicyLayout, block: int, counted: Counted) -> list[dict[str, Any]]:
    """The rules in the policy's order, those it leads to, then what no rule decided."""
    found: list[dict[str, Any]] = []
    for rule in layout.rules:
        own = counted[block + rule.counter]
        if rule.over:  # stands behind the rule itself, whose frames these are as well
            total = Counters(found[-1]["packets"], found[-1]["bytes"]) + own
            found[-1] |= {**total.document(), "over": own.document()}
        else:
            found.append(_rule(rule, own))
    return [*found, {"name": "default", **counted[block + DEFAULT].document()}]


def _rule(rule: RuleCounter, own: Counters) -> dict[str, Any]:
    of = {"policy": rule.policy} if rule.policy else {}
    return {"name": rule.name, **of, **own.document()}


def _totals(layout: PolicyLayout, block: int, counted: Counted) -> dict[Outcome, Counters]:
    """Frames by verdict: what terminal rules (also those edited away) and the default decided."""
    totals: dict[Outcome, Counters] = dict.fromkeys(VERDICTS, NOTHING)
    for rule in (*layout.rules, *layout.retired):
        if rule.verdict is not None:
            totals[rule.verdict] += counted[block + rule.counter]
    totals[layout.default] += counted[block + DEFAULT] + counted[block + MALFORMED]
    return totals
