"""The command line: its commands, and the way from an error to an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from xdpctl.cli import options
from xdpctl.cli.apply import apply
from xdpctl.cli.console import Console
from xdpctl.cli.demo import demo
from xdpctl.cli.destroy import destroy
from xdpctl.cli.failure import report_os, report_usage
from xdpctl.cli.plan import plan
from xdpctl.cli.schema import schema
from xdpctl.cli.show import show
from xdpctl.cli.test import test
from xdpctl.cli.trace import trace
from xdpctl.cli.validate import validate

COMMANDS = (validate, test, plan, apply, destroy, show, trace, schema, demo)

_TERMINATED = 143

_MANY = 1_000_000
"""New objects before the garbage collector looks through all there are. Nearly all that a run makes
(modules, devices, links) it keeps, and at the default of 700 a sixth of its time goes into looking.
"""


def build() -> typer.Typer:
    """The typer application."""
    app = typer.Typer(
        name="xdpctl",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    options.callback(app)
    for function in COMMANDS:
        options.command(app, function)
    return app


def main() -> NoReturn:
    """Run `xdpctl` with the arguments of this process and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    open_streams()
    gc.set_threshold(_MANY)
    # or pydantic looks through every installed package for plugins, at every start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code. Errors are told on stderr."""
    console = Console("text", "auto", quiet=False)
    try:
        code = build()(arguments, prog_name="xdpctl", standalone_mode=False)
    except typer.TyperException as error:
        return report_usage(console, error)
    except OSError as error:  # of the help, which typer prints
        return report_os(console, error)
    return code if isinstance(code, int) else 0


def open_streams() -> None:
    """Let a stream that the caller has closed be /dev/null: its number would be that of the next
    file or map that is opened, and whoever writes to it would write there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            opened = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 (until the end)
            setattr(sys, name, opened)


def leave(code: int) -> NoReturn:
    """End the process, without giving back one by one what the interpreter has."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        if not code:  # else it has been told by now
            os.write(2, f"error: {error.strerror}\n".encode())
        os._exit(code or 1)
    os._exit(code)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Unwind the stack on SIGTERM as Ctrl-C does, so that what is half done gets undone."""
    raise SystemExit(_TERMINATED)
