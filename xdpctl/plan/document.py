"""The JSON contract of a plan (format 1)."""

from __future__ import annotations

from typing import Any

from xdpctl.plan.build import Plan
from xdpctl.plan.operation import Action

FORMAT = 1


def document(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, ready for JSON: topology, changed, summary, actions, notes."""
    return {
        "format": FORMAT,
        "topology": plan.topology,
        "changed": plan.changed,
        "summary": dict(plan.summary),
        "actions": [action_document(action) for action in plan.actions],
        "notes": list(plan.notes),
    }


def action_document(action: Action) -> dict[str, Any]:
    """One action as plain data; tuples become lists."""
    return {
        "op": action.op,
        "device": action.device,
        "changes": {
            name: {"from": plain(change.before), "to": plain(change.after)}
            for name, change in action.changes.items()
        },
        "reason": action.reason,
    }


def plain(value: object) -> object:
    """A property's value as JSON has it."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value
