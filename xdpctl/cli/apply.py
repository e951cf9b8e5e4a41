"""`xdpctl apply`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xdpctl.cli.approval import Approval
from xdpctl.cli.arguments import CHANGES, DetailedExitcode, TakeOver, Yes, is_plan, refuse_plans
from xdpctl.cli.options import Options
from xdpctl.cli.progress import Progress
from xdpctl.errors import UsageError

if TYPE_CHECKING:
    from xdpctl.plan.saved import Saved


def apply(
    options: Options,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|PLAN",
            help="Topology files or directories (- is stdin), or a plan that plan --out saved.",
        ),
    ],
    yes: Yes = False,
    detailed_exitcode: DetailedExitcode = False,
    take_over: TakeOver = False,
) -> int:
    """Make it so, verified, or undo all of it.

    The host becomes what the files say. What was read back must agree; if an operation fails,
    everything done so far is undone.
    """
    from xdpctl.apply import run
    from xdpctl.topology.load import load, load_texts

    saved = _saved_plan(files)
    if saved and take_over:
        raise UsageError("a saved plan says for itself whether to take over")
    topology = load_texts(saved.sources) if saved else load(files)
    approval = Approval(options, "apply", ask=not yes)
    with options.namespace(), Progress(options.console, verbose=options.verbose > 0) as progress:
        applied = run.apply(
            topology,
            take_over=saved.take_over if saved else take_over,
            saved=saved,
            approve=approval,
            progress=progress,
        )
    approval.outcome(applied, "Apply")
    if approval.refused:
        return 1
    return CHANGES if detailed_exitcode and applied.plan.changed else 0


def _saved_plan(files: list[str]) -> Saved | None:
    """The saved plan that the only argument is, if it is one."""
    if len(files) != 1 or not is_plan(files[0]):
        refuse_plans(files)
        return None
    from xdpctl.plan import saved

    return saved.load(Path(files[0]).read_text(encoding="utf-8", errors="replace"))
