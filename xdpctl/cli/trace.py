"""`xdpctl trace --live`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from xdpctl.cli.arguments import topology_name
from xdpctl.cli.options import Options
from xdpctl.errors import MissingError, UsageError

if TYPE_CHECKING:
    from xdpctl.datapath.loaded import Live
    from xdpctl.host.state import Host
    from xdpctl.topology.model import Condition
    from xdpctl.trace.samples import Sample

_SECOND = 1_000_000_000


def trace(
    options: Options,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE|NAME", help="Topology files, or a topology's name."),
    ],
    live: Annotated[
        bool, typer.Option("--live", help="Show samples of the frames that rules with `log` meet.")
    ] = False,
    match: Annotated[
        str | None,
        typer.Option("--match", metavar="MATCH", help="Only these: 'tcp.dport: 443, …'."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=0, help="End after so many; 0: never.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", min=0, help="End after a time; 0: never.")
    ] = 0,
) -> None:
    """Follow frames: samples of those that meet a rule with `log`.

    A rule shows ten frames a second at the most, whatever meets it. With -o json a document a line.
    """
    if not live:
        raise UsageError("trace needs --live", hint="`xdpctl test` runs packets of a file")
    name, _ = topology_name(files)
    wanted = _conditions(match)
    from xdpctl.apply import run
    from xdpctl.policy.evaluate import holds
    from xdpctl.trace.samples import Listener

    def observe() -> tuple[Host, Live]:
        found = run.observe(name)
        return found.host, found.live

    with options.namespace(), _only_one(name), Listener(observe) as listener:
        if not listener.hears_any:
            raise MissingError(f"topology {name} has no pipeline here")
        options.console.message(f"listening to topology {name}; Ctrl-C ends it")
        found = (
            sample
            for sample in listener.samples(_deadline(seconds))
            if all(holds(one, sample.headers) for one in wanted)
        )
        for sample in islice(found, count or None):
            _show(options, sample)


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    """A ring buffer has one reader: two would take each other's samples."""
    from xdpctl.apply import lock
    from xdpctl.host import netns

    with lock.held(f"{netns.identify()}-trace-{name}"):
        yield


def _deadline(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: bool(seconds) and time.monotonic() > end


def _show(options: Options, sample: Sample) -> None:
    """One line a sample, at once: somebody waits for it."""
    if options.structured:
        import json

        line = json.dumps(sample.document(), ensure_ascii=False)
    else:
        document = sample.document()
        when = f"{sample.nanoseconds / _SECOND:.6f}"
        where = f"{sample.device}  {sample.layer:<8}  {sample.policy}: {sample.rule}"
        line = f"{when}  {where}  {document['packet']}  {sample.length} bytes"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _conditions(text: str | None) -> tuple[Condition, ...]:
    """The conditions of `--match`, in the grammar of a rule's match."""
    if text is None:
        return ()
    from xdpctl.topology.match_text import conditions

    return conditions(text)
