"""`xdpctl validate` and `xdpctl schema`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import SMALL, xdpctl

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


RIGHT = SMALL.replace("default: drop", "default: pass")
"""A file of which there is nothing to say; SMALL drops what its device needs."""


@pytest.fixture
def right(tmp_path: Path) -> Path:
    file = tmp_path / "right.yaml"
    file.write_text(RIGHT, "utf-8")
    return file


@pytest.mark.parametrize("options", [(), ("--strict",)])
def test_a_file_that_is_right(right: Path, options: tuple[str, ...]) -> None:
    done = xdpctl("validate", *options, str(right))
    assert (done.code, done.err) == (0, "")
    assert done.out == "topology small is valid: 2 devices, 1 policy\n"


def test_json_of_a_file_that_is_right(right: Path) -> None:
    done = xdpctl("validate", "-o", "json", str(right))
    assert (done.code, done.err) == (0, "")
    assert done.json == {"format": 1, "valid": True, "problems": [], "warnings": []}


@pytest.mark.parametrize("options", [(), ("-q",)])
def test_warnings_stand_on_stderr(small: Path, options: tuple[str, ...]) -> None:
    done = xdpctl("validate", *options, str(small))
    assert (done.code, done.out) == (0, "topology small is valid: 2 devices, 1 policy\n")
    first, *others = done.err.splitlines()
    assert first == (
        f"{small}:13:3: warning: policy web passes IPv4 but no ARP, without which neighbours do "
        "not find each other: add - {name: arp, match: {ether.type: arp}, action: pass}"
    )
    assert len(others) == 3
    assert all(line.startswith(f"{small}:13:3: warning: policy web ") for line in others)


def test_of_very_many_warnings_a_hundred_are_shown(small: Path) -> None:
    used = SMALL[: SMALL.index("policies:")]
    unused = "".join(f"  p{number}: {{default: pass, rules: []}}\n" for number in range(103))
    small.write_text(f"{used.replace('policy: web', 'policy: p0')}policies:\n{unused}", "utf-8")
    few, all_of_them = xdpctl("validate", str(small)), xdpctl("validate", "-v", str(small))
    assert few.err.count("warning: ") == 100
    assert few.err.endswith("\nand 2 more warnings: -v shows all\n")
    assert all_of_them.err.count("warning: ") == 102


def test_strictly_warnings_are_errors(small: Path) -> None:
    lenient, strict = (xdpctl("validate", str(small), *more) for more in ((), ("--strict",)))
    assert (strict.code, strict.out) == (1, "")
    assert strict.err == lenient.err.replace(": warning:", ":")


@pytest.mark.parametrize("strict", [False, True])
def test_warnings_as_data(small: Path, strict: bool) -> None:
    done = xdpctl("validate", "-o", "json", str(small), *(["--strict"] if strict else []))
    document = done.json
    assert (done.code, document["valid"]) == (int(strict), not strict)
    assert document["warnings"][0]["fix"] == (
        "- {name: arp, match: {ether.type: arp}, action: pass}"
    )
    assert [len(row["fix"].splitlines()) for row in document["warnings"]] == [1, 1, 1, 2]
    bare = [{key: row[key] for key in row if key != "fix"} for row in document["warnings"]]
    assert document["problems"] == (bare if strict else [])
    assert bool(done.err) == strict


def test_a_wrong_file_is_not_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(SMALL.replace("parent: eth0", "parent: eht0"))
    done = xdpctl("validate", "-o", "json", str(file))
    assert (done.code, done.json["warnings"]) == (1, [])


def test_every_problem_stands_with_its_place_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        SMALL.replace("parent: eth0", "parent: eht0").replace("policy: web", "policy: wbe")
    )
    done = xdpctl("validate", str(file))
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert [line.split(": ", 1)[0].rsplit(":", 1)[0] for line in lines] == [
        f"{file}:7",
        f"{file}:11",
    ]
    assert "eth0" in lines[0]
    assert "web" in lines[1]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_problems_as_data(tmp_path: Path, form: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(SMALL.replace("policy: web", "policy: wbe"))
    done = xdpctl("-o", form, "validate", str(file))
    assert done.code == 1
    document = done.json if form == "json" else YAML(typ="safe").load(done.out)
    [problem] = document.pop("problems")
    assert document == {"format": 1, "valid": False, "warnings": []}
    assert (problem["file"], problem["line"]) == (str(file), 11)
    assert isinstance(problem["column"], int)
    assert "wbe" in problem["message"]


def test_stdin(small: Path) -> None:
    assert xdpctl("validate", "-", stdin=small.read_text()).code == 0


def test_needs_no_root(small: Path) -> None:
    os.chmod(small.parent, 0o755)
    done = xdpctl("validate", "-", stdin=RIGHT, prefix=NOBODY, PYTHONDONTWRITEBYTECODE="1")
    assert (done.code, done.err) == (0, "")


def test_quiet_leaves_the_result(small: Path) -> None:
    assert xdpctl("-q", "validate", str(small)).out


def test_the_schema_takes_the_small_file() -> None:
    done = xdpctl("schema")
    assert done.code == 0
    schema = json.loads(done.out)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    document = YAML(typ="safe").load(SMALL)
    validator.validate(document)
    document["devices"]["web0"]["knid"] = "macvlan"
    assert not validator.is_valid(document)


def test_the_stored_schema_is_current() -> None:
    stored = Path(__file__).parents[2] / "schemas" / "topology.v1.json"
    assert xdpctl("schema").out == stored.read_text("utf-8")
