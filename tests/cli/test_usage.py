"""What needs no topology: help, versions, wrong usage, and the time to start."""

from __future__ import annotations

import pytest

from tests.cli.conftest import on_terminal, xdpctl
from xdpctl import __version__

COMMANDS = (
    "validate", "test", "plan", "apply", "destroy", "show", "trace", "schema", "demo",
)  # fmt: skip
ESCAPE = "\x1b["


def test_help_lists_the_commands() -> None:
    done = xdpctl("--help")
    assert done.code == 0
    listed = done.out.split("Commands:\n")[1].splitlines()
    assert tuple(line.split()[0] for line in listed) == COMMANDS
    assert all(len(line) < 80 and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_the_global_options(command: str) -> None:
    done = xdpctl(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: xdpctl {command}")
    for option in ("--netns", "--output", "--color", "--verbose", "--quiet", "--version"):
        assert option in done.out


@pytest.mark.parametrize("arguments", [["--version"], ["plan", "--version"]])
def test_version(arguments: list[str]) -> None:
    done = xdpctl(*arguments)
    assert (done.code, done.out) == (0, f"xdpctl {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["plna", "file.yaml"],
        ["--nets", "x", "plan", "file.yaml"],
        ["plan"],
        ["plan", "--detailed", "file.yaml"],
        ["plan", "-o", "xml", "file.yaml"],
        ["-o", "xml", "plan", "file.yaml"],
        ["plan", "file.yaml", "--netns"],
        ["plan", "file.yaml", "--netns", ""],
        ["--netns", "", "plan", "file.yaml"],
        ["--netns=", "validate", "file.yaml"],
        ["plan", "--out", "-", "file.yaml"],
        ["plan", "--out", "", "file.yaml"],
        ["validate"],
        ["test"],
        ["test", "file.yaml", "--junit"],
        ["apply"],
        ["destroy"],
        ["destroy", "Not_A_Name"],
        ["schema", "surplus"],
        ["demo", "-o", "json"],
        ["trace", "file.yaml"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_64_and_keeps_stdout_empty(arguments: list[str]) -> None:
    done = xdpctl(*arguments)
    assert (done.code, done.out) == (64, "")
    assert done.err
    assert "Traceback" not in done.err


def test_an_unknown_command_says_the_nearest() -> None:
    assert "Did you mean 'plan'?" in xdpctl("plna").err


def test_an_unknown_option_says_the_nearest() -> None:
    assert "--detailed-exitcode" in xdpctl("plan", "--detailed-exit", "file.yaml").err


@pytest.mark.parametrize(
    ("arguments", "environment", "coloured"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        ([], {"TERM": "dumb"}, False),
        (["--color", "never"], {}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
    ids=str,
)
def test_colour_on_a_terminal(
    arguments: list[str], environment: dict[str, str], coloured: bool
) -> None:
    done = on_terminal("destroy", *arguments, "Not_A_Name", **environment)
    assert done.code == 64
    assert (ESCAPE in done.out) is coloured
    assert "error: " in done.out.replace(f"{ESCAPE}31m", "")


@pytest.mark.parametrize(("when", "coloured"), [("auto", False), ("always", True)])
def test_colour_without_a_terminal(when: str, coloured: bool) -> None:
    done = xdpctl("--color", when, "destroy", "Not_A_Name")
    assert (ESCAPE in done.err) is coloured


def test_a_missing_file_is_an_error_of_one_line() -> None:
    done = xdpctl("plan", "/nonexistent.yaml")
    assert (done.code, done.out) == (1, "")
    assert "/nonexistent.yaml" in done.err
    assert "Traceback" not in done.err
