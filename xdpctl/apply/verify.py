"""After an apply: what was read back must be what was asked for."""

from __future__ import annotations

from xdpctl.errors import VerifyError
from xdpctl.plan.build import Plan
from xdpctl.plan.link_operations import words
from xdpctl.plan.operation import Action


def verify(again: Plan) -> None:
    """`again` is the plan made from what was read back: it must be empty.

    Raises VerifyError with every mismatch.
    """
    if not again.changed:
        return
    found = [sentence for action in again.actions for sentence in mismatches(action)]
    found = found or [operation.summary() for operation in again.operations]
    raise VerifyError("the host is not what was asked for: " + "; ".join(found))


def mismatches(action: Action) -> list[str]:
    """`web0: mtu is 1500, not 9000`."""
    changes = [
        f"{action.device}: {name} is {words(change.before)}, not {words(change.after)}"
        for name, change in action.changes.items()
    ]
    return changes or [f"{action.device}: still to {action.op} ({action.reason or 'unexpected'})"]
