"""Every folder here is a case: planned, applied, planned again, destroyed; or told to be wrong."""

from __future__ import annotations

import json
import os
from difflib import unified_diff
from typing import Any

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import pins
from tests.topologies.case import Case, cases
from tests.vm.suite import INSIDE
from xdpctl.cli.main import run

CASES = cases()
IN_GUEST = bool(os.environ.get(INSIDE))
KERNEL = [case for case in CASES if not case.wrong and (case.needs or not IN_GUEST)]
WRONG = [case for case in CASES if case.wrong]
REPLACED = ("create", "replace", "delete")


def named(case: Case) -> str:
    return case.path.name


class Shell:
    """Runs xdpctl in this process, in the case's folder, and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.transcript = ""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command line."""
        self.capsys.readouterr()
        code = run(list(arguments))
        out, err = self.capsys.readouterr()
        return code, out, err

    def keep(self, command: str, said: str, code: int = 0) -> None:
        """Write into the transcript what a user would see."""
        self.transcript += f"$ xdpctl {command}\n{said.rstrip()}\n"
        self.transcript += f"exit {code}\n" if code else "\n"


@pytest.fixture
def shell(case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(case.path)
    monkeypatch.setenv("NO_COLOR", "1")
    return Shell(capsys)


def same(got: str, case: Case) -> None:
    """Fails with all the differences, which pytest itself would shorten."""
    if got.rstrip() != case.expected.rstrip():
        texts = (case.expected.splitlines(), got.splitlines())
        lines = unified_diff(*texts, "expected", "got", n=99, lineterm="")
        pytest.fail(f"{case.path.name}\n" + "\n".join(lines), pytrace=False)


def test_there_are_cases() -> None:
    assert len(CASES) >= 60
    assert sum(case.refused for case in CASES) >= len(CASES) / 3


@pytest.mark.parametrize("case", WRONG, ids=named)
def test_what_is_wrong_is_told_where_it_is(case: Case, shell: Shell) -> None:
    code, out, err = shell.run("validate", *case.files)
    shell.keep("validate " + " ".join(case.files), out + err, code)
    same(shell.transcript, case)


@pytest.mark.kernel
@pytest.mark.parametrize("case", KERNEL, ids=named)
def test_planned_applied_planned_again_and_destroyed(
    case: Case, shell: Shell, netns: Netns
) -> None:
    if missing := [kind for kind in case.needs if not netns.makes(kind)]:
        # The tests of tests/vm run this there, and fail if it is not there either.
        missed = f"NOT TESTED ON THIS KERNEL, but in tests/vm: it has no {', '.join(missing)}"
        (pytest.fail if IN_GUEST else pytest.skip)(missed)
    on = ("--netns", netns.name)
    netns.batch(*case.host)
    if case.before:
        assert shell.run(*on, "apply", "--yes", *case.before)[0] == 0, case.before
    netns.batch(*case.meanwhile)
    before = links(netns)

    code, out, err = shell.run(*on, "plan", *case.options, *case.files)
    shell.keep(" ".join(["plan", *case.options, *case.files]), out + err, code)
    if code:
        same(shell.transcript, case)
        assert links(netns) == before, "touched"
        return
    done = json.loads(shell.run(*on, "-o", "json", "plan", *case.options, *case.files)[1])
    code, _, err = shell.run(*on, "apply", "--yes", "-v", *case.options, *case.files)
    if done["changed"]:
        shell.keep(" ".join(["apply -v", *case.options, *case.files]), err, code)
    same(shell.transcript, case)

    again = shell.run(*on, "plan", "--detailed-exitcode", *case.files)
    assert again[0] == 0, again
    remade = {action["device"] for action in done["actions"] if action["op"] in REPLACED}
    kept = links(netns)
    assert {name: before[name] for name in before.keys() - remade} == {
        name: kept[name] for name in before.keys() - remade
    }, "made anew, which the plan did not say"
    gone(case, shell, netns)


def gone(case: Case, shell: Shell, netns: Netns) -> None:
    """Destroys the topology, and sees that what is not its own is left, and nothing else."""
    rest = links(netns).keys()
    ours = [link for link in netns.json("link") if link.get("ifalias") == "xdpctl:edge"]
    own = {end for link in ours for end in (link["ifname"], peer(link))}
    assert shell.run("--netns", netns.name, "destroy", "--yes", *case.files)[0] == 0
    assert links(netns).keys() == rest - own
    assert not [link["ifname"] for link in netns.json("link") if "xdp" in link]
    assert pins(netns) == []


def peer(link: dict[str, Any]) -> str:
    """The other end of a veth, which goes with it; else the device itself."""
    veth = link["linkinfo"]["info_kind"] == "veth"
    return str(link["link"] if veth else link["ifname"])


def links(netns: Netns) -> dict[str, int]:
    """Devices and their numbers: another number is another device."""
    return {link["ifname"]: link["ifindex"] for link in netns.json("link")}
