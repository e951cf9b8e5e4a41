"""What stands after a command's name: files, directories, saved plans, names of topologies."""

from __future__ import annotations

import os
import re
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

_SUFFIXES = (".yaml", ".yml")
_HEAD = 1024
"""Bytes in which a saved plan says what it is."""
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

    refuse_plans(arguments)
    return load(arguments).name, True


def refuse_plans(files: list[str]) -> None:
    """Raise UsageError if one of the topology files is a saved plan."""
    for file in files:
        if is_plan(file):
            raise UsageError(
                f"{file} is a saved plan; only apply takes it, and alone",
                hint=f"xdpctl apply {file}",
            )


def is_plan(file: str) -> bool:
    """Whether it is a file that `plan --out` wrote."""
    if not os.path.isfile(file):
        return False
    try:
        with open(file, "rb") as stream:
            head = stream.read(_HEAD).decode(errors="replace")
    except OSError:  # whoever reads it as a topology says so in better words
        return False
    if not head.lstrip().startswith("{"):
        return False
    from xdpctl.plan.saved import recognise

    return recognise(head)


def _is_path(argument: str) -> bool:
    """Whether it is meant for a file. A directory that reads as a name must have files in it."""
    if argument == "-" or argument.endswith(_SUFFIXES):
        return True
    if _NAME.fullmatch(argument) and os.path.isdir(argument):
        return any(name.endswith(_SUFFIXES) for name in os.listdir(argument))
    return os.path.exists(argument)
