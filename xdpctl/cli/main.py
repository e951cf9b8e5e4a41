"""The command line: its commands, and the way from an error to an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from xdpctl.cli import options
from xdpctl.cli.apply import apply
from xdpctl.cli.console import Console
from xdpctl.cli.demo import demo
from xdpctl.cli.destroy import destroy
from xdpctl.cli.failure import report_usage
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
    gc.set_threshold(_MANY)
    # or pydantic looks through every installed package for plugins, at every start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code = run(sys.argv[1:])
    gc.freeze()  # the interpreter would look through all there is, three times, before it ends
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code. Errors are told on stderr."""
    try:
        code = build()(arguments, prog_name="xdpctl", standalone_mode=False)
    except typer.TyperException as error:
        return report_usage(Console("text", "auto", quiet=False), error)
    return code if isinstance(code, int) else 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Unwind the stack on SIGTERM as Ctrl-C does, so that what is half done gets undone."""
    raise SystemExit(_TERMINATED)
