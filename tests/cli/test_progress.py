"""The progress bar: on a terminal, and only for those who wait."""

from __future__ import annotations

import io
import sys

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
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def run(clock: Clock, *, quiet: bool = False, verbose: bool = False, seconds: float = 2) -> None:
    with Progress(Console("text", "never", quiet=quiet), verbose=verbose) as told:
        for done in range(4):
            told(done, 4, Nothing())
            clock.now += seconds / 4


def test_nothing_within_the_first_second(screen: Screen, clock: Clock) -> None:
    run(clock, seconds=0.9)
    assert screen.getvalue() == ""


def test_a_bar_after_a_second_that_is_gone_in_the_end(screen: Screen, clock: Clock) -> None:
    run(clock)
    drawn = screen.getvalue().split("\r")
    assert drawn[1] == f"[{'#' * 15}{'.' * 15}] 2/4 create macvlan web0 on eth0\x1b[K"
    assert drawn[-1] == "\x1b[K"


def test_no_bar_without_a_terminal(screen: Screen, clock: Clock) -> None:
    screen.terminal = False
    run(clock)
    assert screen.getvalue() == ""


def test_no_bar_for_the_quiet(screen: Screen, clock: Clock) -> None:
    run(clock, quiet=True)
    assert screen.getvalue() == ""


def test_the_verbose_get_a_line_each_instead(screen: Screen, clock: Clock) -> None:
    run(clock, verbose=True)
    assert screen.getvalue() == "create macvlan web0 on eth0\n" * 4
