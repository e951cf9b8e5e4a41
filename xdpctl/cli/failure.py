"""From an error to words on stderr and an exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable

import typer

from xdpctl.cli.console import Console
from xdpctl.errors import NotPermitted, TopologyError, UsageError, XdpctlError

_INTERRUPTED = 130
_BROKEN_PIPE = 141
_TYPER_USAGE = 2  # typer's own exit code; with --detailed-exitcode 2 means "there are changes"


_PLACED = re.compile(r"\S+:\d+:\d+: ")
"""How a sentence about a file begins."""


def perform(console: Console, command: Callable[[], int | None]) -> int:
    """Run a command; its exit code, whatever happens. Errors are told on stderr."""
    try:
        code = command() or 0
        sys.stdout.flush()
    except XdpctlError as error:
        return _report(console, error)
    except KeyboardInterrupt:
        console.error("interrupted")
        return _INTERRUPTED
    except OSError as error:
        return report_os(console, error)
    return code


def _report(console: Console, error: XdpctlError) -> int:
    """Tell of an error of ours; its exit code. Problems of files stand bare, for editors."""
    if isinstance(error, TopologyError):
        sys.stderr.write(f"{error}\n")
    elif _PLACED.match(error.message):
        sys.stderr.write(f"{error.message}\n")
        console.hint(error.hint)
    else:
        console.error(error.message, error.hint)
    return error.exit_code


def report_usage(console: Console, error: typer.TyperException) -> int:
    """Tell of an error that typer found; its exit code, EX_USAGE for a wrong command line."""
    message = error.format_message()
    if error.exit_code != _TYPER_USAGE:
        console.error(message)
        return error.exit_code
    if message.startswith("Usage:"):  # no arguments at all: the message is the help
        sys.stderr.write(message + "\n")
    else:
        context: typer.Context | None = getattr(error, "ctx", None)
        console.error(message, f"{context.command_path if context else 'xdpctl'} --help")
    return UsageError.exit_code


def report_os(console: Console, error: OSError) -> int:
    """Tell of an error that the operating system gave and nobody below had words for; of a reader
    of ours who has gone, nothing.
    """
    if isinstance(error, BrokenPipeError):
        # What has not been written yet would be an error once more when we end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    reason = error.strerror or str(error)
    console.error(f"{error.filename}: {reason}" if error.filename else reason)
    return NotPermitted.exit_code if isinstance(error, PermissionError) else 1
