"""`xdpctl show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xdpctl.cli.arguments import topology_name
from xdpctl.cli.console import Console
from xdpctl.cli.options import Options
from xdpctl.errors import ConflictError, MissingError

FORMAT = 1
_NOTHING: dict[str, Any] = {"format": FORMAT, "topology": None, "devices": {}, "drift": []}


def show(
    options: Options,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="A topology's name or files; left out: the only one, or a list.",
        ),
    ] = None,
) -> None:
    """Show devices, programs, counters, drift.

    With files, drift is what apply would change; with a name, what is detached or left over.
    With neither, where there are several topologies, their names.
    """
    name, by_file = topology_name(files) if files else (None, False)
    with options.namespace():
        document = _by_file(options.console, files or []) if by_file else _by_name(name)
    if options.structured:
        options.console.document(document)
    elif "topologies" in document:
        options.console.text("\n".join(document["topologies"]))
        options.console.message("several topologies are here; xdpctl show NAME shows one of them")
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
    """The document of one topology; without a name of the only one, or the list of all."""
    from xdpctl.apply import run
    from xdpctl.datapath.report import report
    from xdpctl.topology.codecs import nearest

    names = _present()
    if name is None and len(names) > 1:
        return {"format": FORMAT, "topologies": names}
    if name is None and not names:
        return _NOTHING
    name = name or names[0]
    if name not in names:
        raise MissingError(f"there is no topology {name} here{nearest(name, names)}")
    observation = run.observe(name)
    return report(observation.host, observation.live)


def _present() -> list[str]:
    """The topologies that have left a label or a pin here."""
    from xdpctl.datapath.live import topologies
    from xdpctl.host import snapshot
    from xdpctl.plan.ownership import labelled

    host = snapshot.read()
    return sorted({*topologies(host.netns), *filter(None, map(labelled, host.links))})
