"""What stands after a command's name: files, directories, saved plans, names of topologies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from xdpctl.errors import UsageError

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Topology files or directories; - is stdin."),
]
TakeOver = Annotated[
    bool,
    typer.Option("--take-over", help="Adopt devices and programs that somebody else made."),
]
DetailedExitcode = Annotated[
    bool,
    typer.Option("--detailed-exitcode", help="Exit 2 instead of 0 if there are changes."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask; without a terminal never asks.")
]

CHANGES = 2  # the exit code of --detailed-exitcode

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def topology_name(arguments: list[str]) -> tuple[str, bool]:
    """The topology that files or a name stand for, and whether it was files."""
    if len(arguments) == 1 and not _is_path(arguments[0]):
        if not _NAME.fullmatch(arguments[0]):
            raise UsageError(
                f"{arguments[0]!r} is neither a file nor a topology's name",
                hint="a name is of a-z, 0-9 and -, starts with a letter, has at most 32 characters",
            )
        return arguments[0], False
    from xdpctl.topology.load import load

    return load(arguments).name, True


def _is_path(argument: str) -> bool:
    return argument == "-" or argument.endswith((".yaml", ".yml")) or Path(argument).exists()
