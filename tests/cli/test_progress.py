"""The progress bar: on a terminal, and only for those who wait."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from xdpctl.cli import progress
from xdpctl.cli.console import Console
from xdpctl.cli.progress import Progress
from xdpctl.plan.operation import Action, Operation


class Nothing(Operation):
    def actions(self) -> tuple[Action, ...]:
        return ()

    def reverse(self) -> tuple[Operation, ...]:
        return ()

    def summary(self) -> str:
        return "create macvlan web0 on eth0"


class Screen(io.StringIO):
    terminal = True

    def isatty(self) -> bool:
        return self.terminal


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def shown(
    clock: Clock,
    *,
    seconds: float = 2,
    terminal: bool = True,
    quiet: bool = False,
    verbose: bool = False,
) -> str:
    """What stands on stderr after four operations that took some seconds together."""
    screen = Screen()
    screen.terminal = terminal
    console = Console("text", "never", quiet=quiet)
    with redirect_stderr(screen), Progress(console, verbose=verbose) as told:
        for done in range(4):
            told(done, 4, [Nothing()])
            clock.now += seconds / 4
    return screen.getvalue()


def test_nothing_within_the_first_second(clock: Clock) -> None:
    assert shown(clock, seconds=0.9) == ""


def test_a_bar_after_a_second_that_is_gone_in_the_end(clock: Clock) -> None:
    drawn = shown(clock).split("\r")
    assert drawn[1] == f"[{'#' * 15}{'.' * 15}] 2/4 create macvlan web0 on eth0\x1b[K"
    assert drawn[-1] == "\x1b[K"


def test_no_bar_without_a_terminal(clock: Clock) -> None:
    assert shown(clock, terminal=False) == ""


def test_no_bar_for_the_quiet(clock: Clock) -> None:
    assert shown(clock, quiet=True) == ""


def test_the_verbose_get_a_line_each_instead(clock: Clock) -> None:
    assert shown(clock, verbose=True) == "create macvlan web0 on eth0\n" * 4
