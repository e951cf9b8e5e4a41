"""Between a plan and its execution: show it, ask on a terminal; afterwards tell what was done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from xdpctl.cli.options import Options

if TYPE_CHECKING:
    from xdpctl.apply.run import Applied
    from xdpctl.plan.build import Plan

_YES = {"y", "yes"}


class Approval:
    """Called with the plan, says whether to go on. Without a terminal it never asks."""

    def __init__(self, options: Options, verb: str, *, ask: bool) -> None:
        self._console = options.console
        self._structured = options.structured
        self._verb = verb
        self._ask = ask and sys.stdin.isatty()
        self.refused = False

    def __call__(self, plan: Plan) -> bool:
        """Show the plan and, on a terminal, ask. Where there is nothing to do, neither."""
        if not plan.changed:
            return True
        if not self._structured and (self._ask or not self._console.quiet):
            from xdpctl.cli.rendering import plan_text
            from xdpctl.plan.document import document

            self._console.text(plan_text(document(plan), self._console.paint) + "\n")
            sys.stdout.flush()
        if self._ask:
            sys.stderr.write(f"Shall xdpctl {self._verb} this? [y/N] ")
            sys.stderr.flush()
            self.refused = sys.stdin.readline().strip().lower() not in _YES
        return not self.refused

    def outcome(self, applied: Applied, verb: str) -> None:
        """Tell what was done, as the result."""
        from xdpctl.cli.rendering import outcome_text, plan_text
        from xdpctl.plan.document import document

        plan = applied.plan
        if self._structured:
            self._console.document(
                document(plan) | {"applied": not self.refused, "seconds": dict(applied.seconds)}
            )
        elif self.refused:
            self._console.message("Cancelled. Nothing was changed.")
        elif not plan.changed and verb == "Destroy":
            self._console.text(f"Nothing to destroy: topology {plan.topology} owns nothing here.")
        elif not plan.changed:
            self._console.text(plan_text(document(plan), self._console.paint))
        else:
            seconds = sum(applied.seconds.values())
            self._console.text(outcome_text(plan.summary, verb, seconds))
