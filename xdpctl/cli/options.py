"""The options that every command takes, before its name or after it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Annotated, Any

import typer

from xdpctl import __version__
from xdpctl.cli.console import Console, Output, When
from xdpctl.cli.failure import perform
from xdpctl.record import record


@record
class Options:
    """The global options of one run; None and 0 where the user said nothing."""

    netns: str | None = None
    output: Output | None = None
    color: When | None = None
    verbose: int = 0
    quiet: bool = False

    @property
    def console(self) -> Console:
        """Where this run's result and messages go."""
        return Console(self.output or "text", self.color or "auto", quiet=self.quiet)

    @property
    def structured(self) -> bool:
        """Whether the result is for programs."""
        return self.output in {"json", "yaml"}

    def namespace(self) -> AbstractContextManager[None]:
        """Stand in the network namespace that `--netns` names while the block runs."""
        from xdpctl.host.netns import entered

        return entered(self.netns)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xdpctl {__version__}")
        raise typer.Exit


def _named(netns: str | None) -> str | None:
    if netns == "":  # an unset variable of a script, which does not mean where we are
        raise typer.BadParameter("a network namespace's name is not empty")
    return netns


def _common(
    netns: Annotated[
        str | None,
        typer.Option(
            "--netns", metavar="NAME", callback=_named, help="Work in this network namespace."
        ),
    ] = None,
    output: Annotated[
        Output | None,
        typer.Option("-o", "--output", help="Form of the result; text if left out."),
    ] = None,
    color: Annotated[
        When | None,
        typer.Option("--color", help="When to colour; auto if left out."),
    ] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "-v", "--verbose", count=True, show_default=False, help="Tell more on stderr."
        ),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Leave out all but results, warnings, errors.")
    ] = False,
    version: Annotated[  # noqa: ARG001 (its callback does the work)
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> Options:
    return Options(netns, output, color, verbose, quiet)


_COMMON = tuple(
    parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    for parameter in inspect.signature(_common, eval_str=True).parameters.values()
)
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def merge(first: Options, second: Options) -> Options:
    """`first` with what `second` says on top."""
    return replace(
        first,
        netns=second.netns or first.netns,
        output=second.output or first.output,
        color=second.color or first.color,
        verbose=first.verbose + second.verbose,
        quiet=first.quiet or second.quiet,
    )


def _signed(
    run: Callable[..., None], like: Callable[..., object], own: list[inspect.Parameter]
) -> Callable[..., None]:
    """`run`, which typer shall take for a function with `own` and the common options."""
    parameters = [_CONTEXT, *own, *_COMMON]
    run.__name__ = like.__name__
    run.__doc__ = like.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def command(app: typer.Typer, function: Callable[..., int | None]) -> None:
    """Make `function(options, …)`, which gives its exit code or None, a command of `app` that
    takes the common options as well.
    """
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
    ][1:]

    def run(context: typer.Context, **given: Any) -> None:
        here = _common(**{parameter.name: given.pop(parameter.name) for parameter in _COMMON})
        options = merge(context.obj, here)
        if code := perform(options.console, lambda: function(options, **given)):
            raise typer.Exit(code)

    app.command()(_signed(run, function, own))


def callback(app: typer.Typer) -> None:
    """Make `app` itself take the common options, for those who give them first."""

    def run(context: typer.Context, **given: Any) -> None:
        context.obj = _common(**given)

    app.callback()(_signed(run, _common, []))
