"""What `show` says: devices, attachments, counters and drift, by the contract of its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from xdpctl.bpf import maps
from xdpctl.datapath import counters, live
from xdpctl.datapath.description import PolicyLayout
from xdpctl.datapath.layout import DEFAULT, FLOOD, FLOODED, MALFORMED, UNKNOWN, Counters
from xdpctl.datapath.live import Entry, Live, LivePipeline
from xdpctl.host.state import Host, Link

FORMAT = 1
VERDICTS = ("pass", "drop", "tx", "redirect")


def report(
    topology: str, host: Host, state: Live, names: Iterable[str], drift: list[dict[str, Any]]
) -> dict[str, Any]:
    """The document of `show`; `names` are the devices it is about, lower before upper.

    Reads the counters, so it needs what reading BPF maps needs. A device that is missing from the
    host is left out: the drift says so.
    """
    devices: dict[str, Any] = {}
    stages = dict(_stages(host, state))
    for name in names:
        link = host.by_name.get(name)
        if link is not None:
            devices[name] = _device(link, host, stages.get(link.ifindex))
    return {"format": FORMAT, "topology": topology, "devices": devices, "drift": drift}


def _device(link: Link, host: Host, xdp: dict[str, Any] | None) -> dict[str, Any]:
    lower = host.by_index.get(link.lower) if link.lower is not None else None
    return {
        "kind": link.kind or "physical",
        "ifindex": link.ifindex,
        "parent": lower.name if lower is not None and link.kind != "veth" else None,
        "state": link.properties["state"],
        "xdp": xdp or _nothing(),
    }


def _nothing() -> dict[str, Any]:
    return {"mode": "none", "policy": None, "rules": [], "verdicts": _verdicts({})}


def _verdicts(totals: Mapping[str, Counters]) -> dict[str, Any]:
    return {verdict: asdict(totals.get(verdict, Counters())) for verdict in VERDICTS}


def _stages(host: Host, state: Live) -> Iterable[tuple[int, dict[str, Any]]]:
    """The `xdp` part of every device that a pipeline knows, by ifindex."""
    for pipeline in state.pipelines.values():
        with maps.open_id(pipeline.maps[live.COUNTERS]) as opened:
            counted = counters.read(opened)
        yield pipeline.ifindex, _root(pipeline, counted)
        layouts = pipeline.description.by_index()
        dispatched = {slot.ifindex for slot in pipeline.slots}
        for entry in pipeline.entries.values():
            mode = "dispatched" if entry.ifindex in dispatched else "generic"
            yield entry.ifindex, _stage(mode, layouts[entry.policy], entry, counted)


def _root(pipeline: LivePipeline, counted: list[Counters]) -> dict[str, Any]:
    """The root's own stage; frames for nobody count on its verdicts as well."""
    described = pipeline.description
    block, unknown = described.root_block, counted[described.root_block + UNKNOWN]
    layout = described.policies.get(described.root_policy or "")
    if layout is None:
        totals, rules = {described.unknown: unknown}, []
    else:
        totals = _totals(layout, block, counted)
        if described.unknown == "drop":  # they passed the root's policy before
            totals["pass"] -= unknown
            totals["drop"] += unknown
        rules = _rules(layout, block, counted)
    return {
        "mode": pipeline.mode,
        "policy": described.root_policy,
        "rules": rules,
        "malformed": asdict(counted[block + MALFORMED]),
        "unknown": asdict(unknown),
        "verdicts": _verdicts(totals),
    }


def _stage(
    mode: str, layout: PolicyLayout, entry: Entry, counted: list[Counters]
) -> dict[str, Any]:
    totals = _totals(layout, entry.block, counted)
    flooded = counted[entry.block + FLOODED]
    if entry.flood != FLOOD["enforce"]:
        totals["pass" if entry.flood == FLOOD["pass"] else "drop"] += flooded
    return {
        "mode": mode,
        "policy": layout.name,
        "rules": _rules(layout, entry.block, counted),
        "malformed": asdict(counted[entry.block + MALFORMED]),
        "flooded": asdict(flooded),
        "verdicts": _verdicts(totals),
    }


def _rules(layout: PolicyLayout, block: int, counted: list[Counters]) -> list[dict[str, Any]]:
    """The rules in the policy's order, then what no rule decided."""
    numbers = [(rule.name, rule.counter) for rule in layout.rules]
    return [
        {"name": name, **asdict(counted[block + counter])}
        for name, counter in (*numbers, ("default", DEFAULT))
    ]


def _totals(layout: PolicyLayout, block: int, counted: list[Counters]) -> dict[str, Counters]:
    """Frames by verdict: what terminal rules (also those edited away) and the default decided."""
    totals = {"pass": Counters(), "drop": Counters()}
    for rule in (*layout.rules, *layout.retired):
        if rule.action != "count":
            totals[rule.action] += counted[block + rule.counter]
    totals[layout.default] += counted[block + DEFAULT] + counted[block + MALFORMED]
    return totals
