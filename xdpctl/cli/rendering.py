"""Plans and their outcome as text. What goes in is the JSON contract, so both always agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xdpctl.cli.console import Paint

if TYPE_CHECKING:
    from xdpctl.plan.operation import Op

Document = Mapping[str, Any]

# op → (symbol, style, verb)
_OPS = {
    "create": ("  +", "green", "create"),
    "update": ("  ~", "yellow", "update"),
    "replace": ("-/+", "red", "replace"),
    "delete": ("  -", "red", "delete"),
    "attach": ("  +", "green", "attach XDP to"),
    "detach": ("  -", "red", "detach XDP from"),
}


def plan_text(document: Document, paint: Paint) -> str:
    """A plan as Terraform's users know it, the count of everything in the last lines."""
    notes = [f"note: {note}" for note in document["notes"]]
    if not document["changed"]:
        head = f"No changes. The host matches topology {document['topology']}."
        return "\n\n".join([head, *notes])
    blocks = [action_text(action, paint) for action in document["actions"]]
    head = f"Topology {document['topology']}: xdpctl will do the following."
    return "\n\n".join([head, *blocks, *notes, summary_text(document["summary"])])


def summary_text(summary: Mapping[Op, int]) -> str:
    """`Plan: 2 to add, 1 to change, 0 to destroy.` and, where there are any, the attachments."""
    add, change, destroy = _counts(summary)
    lines = [f"Plan: {add} to add, {change} to change, {destroy} to destroy."]
    if summary["attach"] or summary["detach"]:
        lines.append(f"XDP: {summary['attach']} to attach, {summary['detach']} to detach.")
    return "\n".join(lines)


def outcome_text(summary: Mapping[Op, int], verb: str, seconds: float) -> str:
    """What `apply` and `destroy` (the verb) did, in the order of the plan's last lines."""
    add, change, destroy = _counts(summary)
    lines = [f"{verb} complete: {add} added, {change} changed, {destroy} destroyed"]
    if summary["attach"] or summary["detach"]:
        lines.append(f", XDP {summary['attach']} attached, {summary['detach']} detached")
    return "".join(lines) + f", in {seconds:.2f} s."


def value_text(value: object) -> str:
    """A property's value as the file would spell it."""
    match value:
        case None:
            return "(none)"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "[" + ", ".join(map(_item_text, value)) + "]"
        case Mapping():
            return (
                "{" + ", ".join(f"{key}: {value_text(item)}" for key, item in value.items()) + "}"
            )
        case _:
            return str(value)


def _item_text(item: object) -> str:
    """An element of a list; a pair of a map (ingress-qos-map) as `1:2`."""
    return ":".join(map(str, item)) if isinstance(item, (list, tuple)) else value_text(item)


def _counts(summary: Mapping[Op, int]) -> tuple[int, int, int]:
    replaced = summary["replace"]
    return summary["create"] + replaced, summary["update"], summary["delete"] + replaced


def action_text(action: Document, paint: Paint) -> str:
    """One action of a plan: its symbol, what it does to what, and the properties below."""
    symbol, style, verb = _OPS[action["op"]]
    changes = dict(action["changes"])
    kind = changes.pop("kind", {}).get("to") if action["op"] == "create" else None
    what = " ".join(filter(None, [verb, kind, action["device"]]))
    lines = [f"{paint(symbol, style)} {paint(what, 'bold')}"]
    if action["reason"]:
        lines[0] += paint(f"  # {action['reason']}", "dim")
    width = max((len(name) for name in changes), default=0)
    lines += [_change_text(name, change, width) for name, change in changes.items()]
    return "\n".join(lines)


def _change_text(name: str, change: Document, width: int) -> str:
    before, after = value_text(change["from"]), value_text(change["to"])
    shown = after if change["from"] is None else f"{before} -> {after}"
    return f"      {name:<{width}} = {shown}"
