"""Whatever the text: a topology, or a TopologyError whose problems lie within the text."""

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.topology import wrong_policies
from xdpctl.errors import Problem, TopologyError
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "examples").glob("*.yaml"), *(ROOT / "tests/unit/validate").glob("*/*.yaml")]
SEEDS = sorted({path.read_text() for path in FILES if path.stem != "tenants"})
SEEDS += [wrong_policies.HEADER + case.text for case in wrong_policies.cases() if not case.is_rules]
TOKENS = [
    "kind", "physical", "macvlan", "bond", "vlan", "bridge", "veth", "vxlan", "parent", "ports",
    "eth0", "web0", "mode", "mtu", "address", "xdp", "policy", "match", "rules", "action", "name",
    "version", "devices", "policies", "base", "tcp.dport", "ip4.saddr", "pass", "1", "0x10",
    "1_000", ".inf", ".nan", "~", "yes", "010", "0o17", '"1"', "'", '"', "<<", "&a", "*a", "!x",
    "!!str", "!!int", "%YAML 1.1", "---", "...", "{", "}", "[", "]", ",", ": ", "- ", "? ", "|",
    ">", "#", "@", "`", "\t", "\r\n", "\n", "\n  ", "\n    ", "\0", "\ufeff", "ü", "\u2028", "\x85",
    "sets", "type", "entries", "file", "set", "@a", '"@a"', '"!@a"', "ip4", "port",
    "[ip4.saddr, tcp.dport]", '"ip4.saddr . tcp.dport"', "meta.port", "10.0.0.0/8",
    "10.0.0.1-10.0.0.9", '"10.0.0.1 80"', "limit", "rate", "burst", "100/second",
    "10mbit", "redirect", "userspace", "count", "log", "tx",
    "99999999999999999999", "-1", "tenant[1-3]", "[3-1]", "a[0-9", "\\x41", "\U0001f600", "\x7f",
]  # fmt: skip
POLICIES = "version: 1\nname: t\ndevices: {eth0: {kind: physical}}\npolicies:\n  p:\n    rules:\n"


def outcome(text: str) -> tuple[Topology | None, list[Problem]]:
    try:
        return load_texts({"t": text}), []
    except TopologyError as error:
        return None, error.problems


def check(text: str) -> None:
    lines = text.splitlines() or [""]
    topology, problems = outcome(text)
    assert (topology is None) == bool(problems)
    for problem in problems:
        assert problem.file == "t"
        assert 1 <= problem.line <= len(lines) + 1
        assert problem.column >= 1
        assert problem.message.strip()
        assert "\n" not in problem.message
    devices = topology.devices if topology else {}
    for device in devices.values():
        assert device.parent is None or device.parent in devices
        assert set(device.ports) <= set(devices)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
@settings(max_examples=400, deadline=None)
def test_any_tokens(text: str) -> None:
    check(text)
    check("version: 1\nname: t\ndevices:\n  eth0: {kind: physical}\n  x: " + text)
    check(POLICIES + text)
    check(f"{POLICIES}      - {{match: {{ip4.saddr: {text}}}, action: {{{text}}}}}\n")
    check(f"{POLICIES}      - {{action: {text}}}\nsets: {{a: {{type: ip4, entries: [{text}]}}}}\n")
    check(f"{POLICIES}sets:\n  a: {text}\n  b: {{type: {text}, entries: [{text}]}}\n")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A file of ours with a few pieces cut out, doubled, or replaced."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(st.one_of(st.sampled_from(TOKENS), st.just(text[start:end] * 2), st.just("")))
        text = text[:start] + middle + text[end:]
    return text


@given(mutated())
@example("version: 1\nname: t\ndevices:\n  a: &a {kind: bond, ports: {a: *a}}\n")
@settings(max_examples=500, deadline=None)
def test_any_mutation_of_a_file(text: str) -> None:
    check(text)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes(raw: bytes) -> None:
    check(raw.decode("latin-1"))
