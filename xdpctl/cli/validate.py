"""`xdpctl validate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from xdpctl.cli.arguments import Files, refuse_plans
from xdpctl.cli.options import Options
from xdpctl.errors import Problem, TopologyError

if TYPE_CHECKING:
    from xdpctl.policy.advice import Advice

MOST_SHOWN = 100
"""Warnings that are written out: thousands of policies from one template have as many."""

Strict = Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")]


def validate(options: Options, files: Files, strict: Strict = False) -> None:
    """Check files, without root or a kernel."""
    from xdpctl.policy.advice import warnings
    from xdpctl.topology.load import load

    refuse_plans(files)
    try:
        topology = load(files, captures=True)
    except TopologyError as error:
        if options.structured:
            options.console.document(_document(error.problems, []))
        raise
    found = warnings(topology)
    errors: list[Problem] = [*found] if strict else []
    if options.structured:
        options.console.document(_document(errors, found))
    if errors:
        raise TopologyError(errors)
    if options.structured:
        return
    shown = found if options.verbose else found[:MOST_SHOWN]
    for one in shown:
        sys.stderr.write(f"{one.file}:{one.line}:{one.column}: warning: {one.message}\n")
    if len(found) > len(shown):
        sys.stderr.write(f"and {len(found) - len(shown):,} more warnings: -v shows all\n")
    devices, policies = len(topology.devices), len(topology.policies)
    options.console.text(
        f"topology {topology.name} is valid: "
        f"{devices} device{'s' * (devices != 1)}, {policies} polic{'ies' if policies != 1 else 'y'}"
    )


def _document(problems: Sequence[Problem], found: Sequence[Advice]) -> dict[str, object]:
    return {
        "format": 1,
        "valid": not problems,
        "problems": [_row(problem) for problem in problems],
        "warnings": [_row(one) | ({"fix": one.fix} if one.fix else {}) for one in found],
    }


def _row(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }
