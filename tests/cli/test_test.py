"""`xdpctl test`: the contract of its document, its exit codes, what people read."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import SMALL, on_terminal, xdpctl
from tests.cli.test_validate import NOBODY

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))

TESTS = """\
tests:
  - name: https reaches web0
    packet: {to: web0, ip4: {saddr: 203.0.113.9}, tcp: {dport: 443}}
    expect: {verdict: pass, at: web0, rule: https}
  - name: ssh does
    packet: {to: web0, tcp: {dport: 22}}
    expect: {verdict: pass, rule: https}
"""
RIGHT = TESTS.replace("verdict: pass, rule: https", "verdict: drop, rule: default")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def failing(tmp_path: Path) -> str:
    """A file of which one test passes and one fails."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + TESTS, "utf-8")
    return str(file)


@needs_root
def test_all_pass() -> None:
    done = xdpctl("test", "-", stdin=SMALL + RIGHT)
    assert (done.code, done.err) == (0, "")
    assert done.out == "PASS  https reaches web0\nPASS  ssh does\n\n2 passed, 0 failed\n"


@needs_root
def test_a_test_that_fails_shows_what_differs_and_why(failing: str) -> None:
    done = xdpctl("test", failing)
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[1:-2] == [
        f"FAIL  ssh does  ({failing}:21:5)",
        "      - verdict: pass",
        "      + verdict: drop",
        "      - rule: https",
        "      + rule: default",
        "      web0: drop by policy web, default",
    ]
    assert done.out.endswith("\n1 passed, 1 failed\n")


@needs_root
def test_differences_are_coloured_on_a_terminal(failing: str) -> None:
    shown = on_terminal("test", failing).out
    assert "\x1b[31m      - verdict: pass\x1b[0m\n\x1b[32m      + verdict: drop\x1b[0m\n" in shown


@needs_root
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_document(failing: str, form: str) -> None:
    done = xdpctl("test", "-o", form, failing)
    assert (done.code, done.err) == (1, "")
    document = done.json if form == "json" else YAML(typ="safe").load(done.out)
    passed = {"verdict": "pass", "at": "web0", "rule": "https"}
    failed = {"verdict": "drop", "at": "web0", "rule": "default"}
    assert document == {
        "format": 1,
        "tests": [
            {"name": "https reaches web0", "passed": True, "got": passed},
            {"name": "ssh does", "passed": False, "got": failed},
        ],
    }


@needs_root
def test_bytes_are_told_if_they_are_asked_for() -> None:
    frame = "020000000010" + "0200000000fe" + "ffff"
    sent = f"tests: [{{packet: {{hex: '{frame}'}}, expect: {{bytes: '{frame}00'}}}}]\n"
    done = xdpctl("test", "-o", "json", "-", stdin=SMALL + sent)
    assert done.code == 1
    assert done.json["tests"][0]["name"] == "test 1"
    assert done.json["tests"][0]["got"]["bytes"] == frame


@needs_root
def test_junit(failing: str, tmp_path: Path) -> None:
    out = tmp_path / "junit.xml"
    assert xdpctl("test", failing, "--junit", str(out)).code == 1
    [suite] = ElementTree.parse(out).getroot()
    assert (suite.tag, suite.get("name")) == ("testsuite", "small")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    good, bad = suite
    assert (good.get("name"), len(good)) == ("https reaches web0", 0)
    [failure] = bad
    assert failure.tag == "failure"
    assert failure.get("message") == (
        "verdict: expected pass, got drop; rule: expected https, got default"
    )
    assert (bad.get("file"), bad.get("line")) == (failing, "21")


def test_junit_where_nothing_can_be_written(small: Path) -> None:
    done = xdpctl("test", str(small), "--junit", "/nonexistent/junit.xml")
    assert (done.code, done.out) == (1, "")
    assert "/nonexistent/junit.xml" in done.err
    assert "Traceback" not in done.err


def test_a_file_without_tests(small: Path) -> None:
    done = xdpctl("test", str(small))
    assert (done.code, done.out) == (0, "topology small has no tests\n")


def test_a_wrong_test_is_a_problem_of_the_file() -> None:
    done = xdpctl("test", "-", stdin=SMALL + TESTS.replace("to: web0", "to: wbe0"))
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        f"<stdin>:{line}:18: to: unknown device 'wbe0' (did you mean web0?)" for line in (19, 22)
    ]


def test_a_missing_capture_hinders_no_plan(tmp_path: Path, netns: str) -> None:
    file = tmp_path / "small.yaml"
    sent = "tests: [{packet: {in: eth0, pcap: lost.pcap}, expect: {verdict: pass}}]\n"
    file.write_text(SMALL + sent, "utf-8")
    for command in ("test", "validate"):
        done = xdpctl(command, str(file))
        assert done.code == 1
        assert "17:35: pcap lost.pcap cannot be read: No such file" in done.err
    assert xdpctl("--netns", netns, "plan", str(file)).code == 0


def test_without_root_it_exits_77(tmp_path: Path) -> None:
    done = xdpctl("test", "-", stdin=SMALL + TESTS, prefix=NOBODY, PYTHONDONTWRITEBYTECODE="1")
    assert (done.code, done.out) == (77, "")
    assert "run as root" in done.err


@needs_root
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_keep_what_they_promise(path: Path) -> None:
    done = xdpctl("-o", "json", "test", str(path))
    assert done.code == 0, xdpctl("test", str(path)).out
    assert len(done.json["tests"]) > 1
