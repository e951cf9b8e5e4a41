"""`xdpctl show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xdpctl.cli.arguments import topology_name
from xdpctl.cli.console import Console
from xdpctl.cli.options import Options
from xdpctl.errors import ConflictError, MissingError, UsageError

_NOTHING: dict[str, Any] = {"format": 1, "topology": None, "devices": {}, "drift": []}


def show(
    options: Options,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="A topology's name or files; may be left out where there is only one.",
        ),
    ] = None,
) -> None:
    """Show devices, programs, counters, drift.

    With files, drift is what apply would change; with a name, what is detached or left over.
    """
    name, by_file = topology_name(files) if files else (None, False)
    with options.namespace():
        document = _by_file(options.console, files or []) if by_file else _by_name(name)
    if options.structured:
        options.console.document(document)
    elif document["topology"] is None:
        options.console.text("No topology has been applied here.")
    else:
        from xdpctl.cli.tree import show_text

        options.console.text(show_text(document, options.console.paint))


def _by_file(console: Console, files: list[str]) -> dict[str, Any]:
    from xdpctl.apply import run
    from xdpctl.datapath.report import report
    from xdpctl.plan.document import action_document
    from xdpctl.topology.load import load

    topology = load(files)
    try:
        plan, observation = run.plan(topology)
    except (ConflictError, MissingError) as error:
        console.warn(error.message)
        observation, drift = run.observe(topology.name), None
    else:
        drift = [action_document(action) for action in plan.actions]
    return report(observation.host, observation.live, drift)


def _by_name(name: str | None) -> dict[str, Any]:
    from xdpctl.apply import run
    from xdpctl.datapath.report import report

    name = _found(name)
    if name is None:
        return _NOTHING
    observation = run.observe(name)
    return report(observation.host, observation.live)


def _found(name: str | None) -> str | None:
    """The topology of this name, or the only one, that has left a label or a pin here."""
    from xdpctl.datapath.live import topologies
    from xdpctl.host import snapshot
    from xdpctl.plan.ownership import labelled
    from xdpctl.topology.codecs import nearest

    host = snapshot.read()
    names = {*topologies(host.netns), *filter(None, map(labelled, host.links))}
    if name is None and len(names) > 1:
        listed = ", ".join(sorted(names))
        raise UsageError(f"several topologies are here: {listed}", hint="name one of them")
    if name is not None and name not in names:
        raise MissingError(f"there is no topology {name} here{nearest(name, sorted(names))}")
    return name or next(iter(names), None)
