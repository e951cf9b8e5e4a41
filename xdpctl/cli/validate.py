"""`xdpctl validate`."""

from __future__ import annotations

from xdpctl.cli.arguments import Files, refuse_plans
from xdpctl.cli.options import Options
from xdpctl.errors import Problem, TopologyError


def validate(options: Options, files: Files) -> None:
    """Check files, without root or a kernel."""
    from xdpctl.topology.load import load

    refuse_plans(files)
    try:
        topology = load(files, captures=True)
    except TopologyError as error:
        if options.structured:
            options.console.document(_document(error.problems))
        raise
    if options.structured:
        options.console.document(_document([]))
        return
    devices, policies = len(topology.devices), len(topology.policies)
    options.console.text(
        f"topology {topology.name} is valid: "
        f"{devices} device{'s' * (devices != 1)}, {policies} polic{'ies' if policies != 1 else 'y'}"
    )


def _document(problems: list[Problem]) -> dict[str, object]:
    return {
        "format": 1,
        "valid": not problems,
        "problems": [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "message": problem.message,
            }
            for problem in problems
        ],
    }
