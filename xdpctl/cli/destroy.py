"""`xdpctl destroy`."""

from __future__ import annotations

from typing import Annotated

import typer

from xdpctl.cli.approval import Approval
from xdpctl.cli.arguments import Yes, topology_name
from xdpctl.cli.options import Options
from xdpctl.cli.progress import Progress


def destroy(
    options: Options,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE|NAME", help="Topology files, or a topology's name."),
    ],
    yes: Yes = False,
) -> int:
    """Remove what a topology owns, and no more."""
    name, by_file = topology_name(files)
    from xdpctl.apply import run

    approval = Approval(options, "destroy", ask=not yes)
    with options.namespace(), Progress(options.console, verbose=options.verbose > 0) as progress:
        applied = run.destroy(name, missing_ok=by_file, approve=approval, progress=progress)
    approval.outcome(applied, "Destroy")
    return 1 if approval.refused else 0
