"""The JSON Schema says what the loader says."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from xdpctl.topology.kinds import KINDS
from xdpctl.topology.load import load
from xdpctl.topology.schema import schema, text

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "schemas" / "topology.v1.json"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
VALIDATOR = Draft7Validator(schema())


def document(source: str) -> Any:
    return YAML(typ="safe", pure=True).load(source)


def device(**keys: Any) -> dict[str, Any]:
    return {"devices": {"d0": keys}}


def test_the_committed_schema_is_current() -> None:
    assert COMMITTED.read_text() == text()


def test_it_is_a_draft_7_schema() -> None:
    found = schema()
    assert found["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(found)
    assert "$defs" not in text()


def test_every_reference_leads_somewhere() -> None:
    definitions = schema()["definitions"]
    for line in text().splitlines():
        if '"$ref"' in line:
            path = line.split('"')[3].removeprefix("#/definitions/").split("/")
            node = definitions
            for part in path:
                node = node[part]
            assert node


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(document(path.read_text()))] == []
    assert load([str(path)]).name == path.stem
    assert path.read_text().startswith(
        "# yaml-language-server: $schema=../schemas/topology.v1.json\n"
    )


def test_there_are_examples() -> None:
    names = {path.stem for path in EXAMPLES}
    assert names >= {"smallest", "four-policies", "tenants", "bond", "vms"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_refuses_an_unknown_key(kind: str) -> None:
    errors = [*VALIDATOR.iter_errors(device(kind=kind, bogus=1))]
    assert any("bogus" in error.message for error in errors)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sets": {"s": {}}},
        {"tests": {}},
        {"version": 2},
        {"name": "Edge"},
        device(),
        device(kind="macvaln"),
        device(kind="macvlan"),
        device(kind="vlan", parent="eth0"),
        device(kind="bond", parent="eth0"),
        device(kind="bond", mode="fast"),
        device(kind="bond", ports={"eth0": {"queue": 1}}),
        device(kind="dummy", xdp={"polcy": "p"}),
        device(kind="dummy", address={"bsae": "02:00:00:00:00:00"}),
        {"policies": {"p": {"rules": [{"match": {}}]}}},
        {"policies": {"p": {"rules": [{"action": "jump"}]}}},
        {"policies": {"p": {"rules": [{"match": {"tcp.dprot": 1}, "action": "pass"}]}}},
        {"policies": {"p": {"rules": [{"match": {"tcp.dport": 65536}, "action": "pass"}]}}},
        {"policies": {"a/b": {}}},
    ],
    ids=str,
)
def test_it_refuses(wrong: dict[str, Any]) -> None:
    assert [*VALIDATOR.iter_errors(wrong)]


@pytest.mark.parametrize(
    "right",
    [
        {"devices": None, "policies": None},
        {"version": "1"},
        device(kind="bond", **{"lacp-rate": "fast", "mode": 4}),
        device(kind="bond", num_unsol_na=3),
        device(kind="bond", **{"num-unsol-na": "3"}),
        device(kind="bond", ports=["eth0", {"eth1": {"queue_id": 1}}]),
        device(kind="bond", ports={"eth0": None}),
        device(kind="vxlan", id=5, group="239.1.1.1", parent="eth0"),
        device(kind="vlan", parent="eth0", id={"base": 0}),
        device(kind="vlan", parent="eth0", id=5, ingress_qos_map="1:2"),
        {"policies": {"p": {"rules": None}}},
        {
            "policies": {
                "p": {"rules": [{"match": {"tcp.dport": ["!80", "!90"]}, "action": "pass"}]}
            }
        },
    ],
    ids=str,
)
def test_it_takes(right: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(right)] == []
