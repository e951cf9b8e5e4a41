"""The JSON Schema says what the loader says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from xdpctl.errors import TopologyError
from xdpctl.topology.kinds import KINDS
from xdpctl.topology.load import load, load_texts
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


RIGHT_SETS: list[dict[str, Any]] = [
    {"type": "ip4", "entries": []},
    {"type": "ip4", "entries": ["10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9"]},
    {"type": "port", "entries": [80, "443", "https", "8000-8100"]},
    {"type": "ether", "entries": ["02:00:00:00:00:01"]},
    {"type": "ip6", "file": "list.txt"},
    {"type": "ip6", "entries": None, "file": "list.txt"},
    {"type": ["ip4.saddr", "tcp.dport"], "entries": [["10.0.0.1", 80], "10.0.0.1 . 80"]},
    {"type": ["ip6.saddr", "ip6.daddr", "tcp.sport", "tcp.dport"], "entries": []},
]
WRONG_SETS: list[Any] = [
    None,
    [],
    {},
    {"type": "ip4"},
    {"entries": []},
    {"type": "ip5", "entries": []},
    {"type": "ip4", "entries": "10.0.0.1"},
    {"type": "ip4", "entries": [{}]},
    {"type": "ip4", "entries": [[["10.0.0.1"]]]},
    {"type": "ip4", "entries": [True]},
    {"type": "ip4", "file": 7},
    {"type": "ip4", "entries": [], "flags": "interval"},
    {"type": [], "entries": []},
    {"type": ["ip4.saddr"], "entries": []},
    {"type": ["ip4.saddr", "ip4.saddr"], "entries": []},
    {"type": ["ip4.saddr", "tcp.dprot"], "entries": []},
    {"type": ["ip4.saddr", "vlan.id"], "entries": []},
    {"type": ["ip4.saddr", "ip4.daddr", "ip4.proto", "tcp.sport", "tcp.dport"], "entries": []},
]
RIGHT_ACTIONS: list[Any] = [
    "pass", "drop", "tx", "count", "log",
    {"redirect": "eth0"}, {"userspace": "ids"}, {"policy": "other"},
    {"limit": "100/second"}, {"limit": "100 packets / min burst 20"}, {"limit": "10mbit"},
    {"limit": "1.5 Gbit 64k"}, {"limit": "5 mbytes/second burst 64k"},
    {"limit": "100/second", "burst": 20}, {"limit": "100/second", "burst": "20 packets"},
    {"limit": {"rate": "100/second", "burst": 20}}, {"limit": {"rate": "10mbit"}, "burst": "64k"},
]  # fmt: skip
WRONG_ACTIONS: list[Any] = [
    None, 1, True, [], {}, "psas", "accept", "limit", "redirect", "redirect eth0",
    {"pass": None}, {"limit": None}, {"limit": 100}, {"limit": "100"}, {"limit": "-1/second"},
    {"limit": "100/second", "burst": 0}, {"limit": "100/second", "burst": None},
    {"limit": {"burst": 20}}, {"limit": {"rate": "100/second", "brust": 20}}, {"burst": 20},
    {"redirect": ""}, {"redirect": 5}, {"redirect": ["eth0"]}, {"redirect": "eth0", "burst": 1},
    {"redirect": "eth0", "policy": "other"}, {"userspace": "IDS"}, {"userspace": "a" * 33},
    {"policy": None}, {"limt": "100/second"},
]  # fmt: skip
RIGHT_MATCHES: list[dict[str, Any]] = [
    {"ip4.saddr": "@v4"}, {"ip4.saddr": ["!@v4", "!10.0.0.1"]}, {"arp.spa": "! @ v4"},
    {"ip6.daddr": "@v6"}, {"ether.saddr": ["@macs", "02:00:00:00:00:01"]},
    {"tcp.dport": ["@ports", 80]}, {"meta.port": "eth0"}, {"meta.port": ["!eth0", "!none"]},
    {"set": "@pairs"}, {"set": "!@pairs"}, {"ip4.saddr . tcp.dport": "@pairs"},
    {"ip4.saddr, tcp.dport": "! @pairs"}, {"tcp.dport+ip4.saddr": "@pairs"},
]  # fmt: skip
WRONG_MATCHES: list[dict[str, Any]] = [
    {"set": "pairs"}, {"set": ["@pairs"]}, {"set": 5}, {"set": "@"}, {"sets": "@pairs"},
    {"ip4.saddr . tcp.dport": "10.0.0.1 80"}, {"ip4.saddr": "@"}, {"ether.saddr": "@a b"},
    {"meta.port": 5}, {"meta.port": ""}, {"meta.port": []},
]  # fmt: skip


ANY_SETS = {
    "v4": {"type": "ip4", "entries": []},
    "v6": {"type": "ip6", "entries": []},
    "macs": {"type": "ether", "entries": []},
    "ports": {"type": "port", "entries": []},
    "pairs": {"type": ["ip4.saddr", "tcp.dport"], "entries": []},
}


def with_rule(**rule: Any) -> dict[str, Any]:
    policies = {"p": {"rules": [{"action": "pass"} | rule]}, "other": {}}
    return {"version": 1, "name": "t", "devices": {"eth0": {"kind": "physical"}},
            "sets": ANY_SETS, "policies": policies}  # fmt: skip


def with_set(found: Any) -> dict[str, Any]:
    return {"version": 1, "name": "t", "devices": {}, "sets": {"s": found}}


RIGHT_FILES = [
    *map(with_set, RIGHT_SETS),
    *(with_rule(action=one) for one in RIGHT_ACTIONS),
    *(with_rule(match=one) for one in RIGHT_MATCHES),
]
WRONG_FILES = [
    *map(with_set, WRONG_SETS),
    *(with_rule(action=one) for one in WRONG_ACTIONS),
    *(with_rule(match=one) for one in WRONG_MATCHES),
    {"version": 1, "name": "t", "devices": {}, "sets": {"@a": RIGHT_SETS[0]}},
    {"version": 1, "name": "t", "devices": {}, "sets": []},
]


@pytest.mark.parametrize("right", RIGHT_FILES, ids=str)
def test_it_takes_what_the_loader_takes(
    right: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("2001:db8::1\n")
    assert [error.message for error in VALIDATOR.iter_errors(right)] == []
    assert load_texts({"t": json.dumps(right)}).name == "t"


@pytest.mark.parametrize("wrong", WRONG_FILES, ids=str)
def test_it_refuses_what_the_loader_refuses(wrong: dict[str, Any]) -> None:
    assert [*VALIDATOR.iter_errors(wrong)]
    with pytest.raises(TopologyError):
        load_texts({"t": json.dumps(wrong)})


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
