"""A plan in a file: what was planned, from which texts, and what the host looked like then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from xdpctl.errors import StalePlanError, UsageError
from xdpctl.host.state import Host, Link
from xdpctl.plan.build import Plan
from xdpctl.plan.document import document, plain
from xdpctl.plan.ownership import owns
from xdpctl.plan.stacking import lower_of
from xdpctl.record import record
from xdpctl.topology.model import Topology

KIND = "xdpctl-plan"
FORMAT = 1
SHOWN = 10
"""Differences to name in an error; the rest is counted."""

Facts = Mapping[str, Mapping[str, Any]]


@record
class Saved:
    """A saved plan as read back.

    netns     the network namespace it was made in, as `host.netns.identify` calls it
    sources   each topology file's name and text (for `topology.load.load_texts`)
    document  the plan's JSON document at that time
    facts     the relevant live state at that time, device → fact → value
    files     the SHA-256 of every other file that the topology named (sets, objects)
    """

    netns: str
    sources: Mapping[str, str]
    take_over: bool
    document: Mapping[str, Any]
    facts: Facts
    files: Mapping[str, str]


def dump(plan: Plan, topology: Topology, host: Host, *, take_over: bool = False) -> str:
    """The text of the plan's file (JSON)."""
    saved = {
        "kind": KIND,
        "format": FORMAT,
        "netns": host.netns,
        "sources": dict(topology.sources),
        "files": dict(topology.files),
        "take_over": take_over,
        "plan": document(plan),
        "host": facts(topology, host),
    }
    return json.dumps(saved, indent=1) + "\n"


def recognise(text: str) -> bool:
    """Whether a file's text is a saved plan (and not a topology, be it in JSON)."""
    return text.lstrip().startswith("{") and f'"kind": "{KIND}"' in text[:200]


def load(text: str) -> Saved:
    """Read a plan's file; raises UsageError if it is none, or of a format that is not known."""
    try:
        saved = json.loads(text)
        if saved["kind"] != KIND:
            raise UsageError("not a plan that `plan --out` has saved")
        if saved["format"] != FORMAT:
            raise UsageError(
                f"the plan has format {saved['format']}, not {FORMAT}",
                hint="plan anew with this version of xdpctl",
            )
        return Saved(
            saved["netns"],
            saved["sources"],
            bool(saved["take_over"]),
            saved["plan"],
            saved["host"],
            saved.get("files", {}),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"not a plan that `plan --out` has saved: {error}") from None


def check_place(saved: Saved, netns: str) -> None:
    """Raise StalePlanError unless the plan was made in the network namespace `netns`."""
    if saved.netns != netns:
        raise StalePlanError(
            f"the plan was made in network namespace {saved.netns}, and this is {netns}",
            hint="plan anew, or apply it there",
        )


def check(saved: Saved, plan: Plan, topology: Topology, host: Host) -> None:
    """Raise StalePlanError, saying what changed, unless `plan` is still what was saved."""
    found = [*changed_files(saved.files, topology.files)]
    found += changes(saved.facts, facts(topology, host))
    now = json.loads(json.dumps(document(plan)))
    if not found and now["actions"] != saved.document["actions"]:
        before = {one["device"]: one for one in saved.document["actions"]}
        after = {one["device"]: one for one in now["actions"]}
        differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        found = [f"what there is to do for {name} is no longer the same" for name in differing]
        found = found or ["the order of what there is to do is no longer the same"]
    if found:
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise StalePlanError(
            "the host changed since the plan was saved: " + "; ".join(found[:SHOWN] + more),
            hint="plan anew",
        )


def facts(topology: Topology, host: Host) -> dict[str, dict[str, Any]]:
    """What a plan for the topology is made from: the links that it names, and those it owns."""
    found: dict[str, dict[str, Any]] = {}
    for link in host.links:
        device = topology.devices.get(link.name)
        if device is not None:
            found[link.name] = of_link(link, host, device.properties)
        elif owns(topology.name, link):
            found[link.name] = of_link(link, host, {})
    return found


def of_link(link: Link, host: Host, named: Mapping[str, object]) -> dict[str, Any]:
    """The facts of one link, as JSON has them."""
    names = {index: host.by_index[index].name for index in (lower_of(link), link.master)
             if index in host.by_index}  # fmt: skip
    return {
        "kind": link.kind,
        "parent": names.get(lower_of(link) or 0),
        "master": names.get(link.master or 0),
        "alias": link.alias,
        **({"netns": link.netns} if link.away is not None else {}),
        **{name: plain(link.properties.get(name)) for name in named},
    }


def changes(before: Facts, after: Facts) -> Iterator[str]:
    """What became different, in sentences."""
    for name, facts_before in before.items():
        if name not in after:
            yield f"{name} is gone"
            continue
        for fact in {**facts_before, **after[name]}:
            then, now = facts_before.get(fact), after[name].get(fact)
            if then != now:
                yield f"{name}: {fact} was {spoken(then)}, is {spoken(now)}"
    for name in after:
        if name not in before:
            yield f"{name} appeared"


def changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Files that are named by the topology and are not what they were."""
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"the file {path} is another"


def spoken(value: object) -> str:
    """A fact in a sentence."""
    return "none" if value in (None, "", []) else str(value)
