"""`xdpctl plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xdpctl.cli.arguments import CHANGES, DetailedExitcode, Files, TakeOver, refuse_plans
from xdpctl.cli.options import Options
from xdpctl.errors import UsageError


def plan(
    options: Options,
    files: Files,
    out: Annotated[
        str | None, typer.Option("--out", metavar="PLAN", help="Save the plan for apply.")
    ] = None,
    detailed_exitcode: DetailedExitcode = False,
    take_over: TakeOver = False,
) -> int:
    """Tell what apply would do; change nothing."""
    from xdpctl.apply import run
    from xdpctl.plan import saved
    from xdpctl.plan.document import document
    from xdpctl.topology.load import load

    if out in {"", "-"}:  # standard output is for what people or programs read
        raise UsageError("--out needs the name of a file", hint="--out small.plan, for example")
    refuse_plans(files)
    topology = load(files)
    with options.namespace():
        made, observation = run.plan(topology, take_over=take_over)
    if out:
        text = saved.dump(made, topology, observation.host, take_over=take_over)
        Path(out).write_text(text, encoding="utf-8")
    console = options.console
    if options.structured:
        console.document(document(made))
    else:
        from xdpctl.cli.rendering import plan_text

        console.text(plan_text(document(made), console.paint))
    if out:
        console.message(f"saved to {out}; xdpctl apply {out} does exactly this")
    return CHANGES if detailed_exitcode and made.changed else 0
