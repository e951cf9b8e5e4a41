"""`xdpctl show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xdpctl.cli.arguments import topology_name
from xdpctl.cli.options import Options
from xdpctl.errors import UsageError


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
    """Show devices, programs, counters, drift."""
    with options.namespace():
        name = topology_name(files)[0] if files else _only_topology()
        document = _document(name) if name else _NOTHING
    if options.structured:
        options.console.document(document)
    elif name:
        from xdpctl.cli.tree import show_text

        options.console.text(show_text(document, options.console.paint))
    else:
        options.console.text("No topology has been applied here.")


_NOTHING: dict[str, Any] = {"format": 1, "topology": None, "devices": {}, "drift": []}


def _document(name: str) -> dict[str, Any]:
    from xdpctl.apply import run
    from xdpctl.datapath.report import report

    observation = run.observe(name)
    return report(observation.host, observation.live)


def _only_topology() -> str | None:
    """The topology that has left a label or a pin here; None where there is none."""
    from xdpctl.bpf import pins
    from xdpctl.host import snapshot
    from xdpctl.plan.ownership import labelled

    host = snapshot.read()
    pinned = pins.entries(pins.ROOT / pins.file_name(host.netns))
    names = {pins.plain_name(entry.name) for entry in pinned}
    names |= {owner for link in host.links if (owner := labelled(link))}
    if len(names) > 1:
        listed = ", ".join(sorted(names))
        raise UsageError(f"several topologies are here: {listed}", hint="name one of them")
    return names.pop() if names else None
