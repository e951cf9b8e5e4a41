"""What is read as plain YAML is what events make of it, to the last line and column."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_topology_text import SEEDS, TOKENS
from xdpctl.errors import Problem
from xdpctl.topology import plain_yaml
from xdpctl.topology.parse import by_events, parse, resolve
from xdpctl.topology.tree import Mapping, Node, Scalar, Sequence

PLAIN = [text for text in SEEDS if plain_yaml.parse(text, resolve) is not None]
PIECES = [
    *TOKENS, " ", "  ", ":", "::", "\n- ", "\n  - ", "\n    k: v", " # c\n", "\n#c\n", " #", ", ",
    "a: {b: c}", "- x: y\n  z: w\n", "[x, y]", "{}", "[]", "[[a]]", "fe80::", ":b", "a:b", "it's",
    'say "x"', "''", '""', "'a''b'", "-", "--", "- - ", "k:\n", "k: \n", "? ", "? k", "x y  z",
    "null: 1", "true: 1", "1: 1", "~: 1", '"1": 1', "<<: {a: b}", ": ", " :", "'k': v", '"k" : v',
]  # fmt: skip


def flat(node: Node) -> object:
    place = (type(node).__name__, node.line, node.column)
    if isinstance(node, Scalar):
        return (*place, node.value, type(node.value), node.text, node.plain)
    if isinstance(node, Mapping):
        return (*place, [(key, flat(a), flat(b)) for key, (a, b) in node.entries.items()])
    assert isinstance(node, Sequence)
    return (*place, [flat(item) for item in node.items])


def check(text: str) -> bool:
    problems: list[Problem] = []
    found = plain_yaml.parse(text, resolve)
    if found is None or parse(text, "t", problems) is None:  # None: characters that YAML forbids
        return False
    meant = by_events(text, "t", problems)
    assert not problems
    assert meant is not None
    assert flat(found) == flat(meant)
    return True


def test_files() -> None:
    assert sum(check(text) for text in PLAIN) > len(SEEDS) // 2


@st.composite
def cut_and_mutated(draw: st.DrawFn) -> str:
    """Some lines of a plain file, moved to the left, with a few pieces put in, cut out, doubled."""
    lines = draw(st.sampled_from(PLAIN)).splitlines(keepends=True)
    first = draw(st.integers(0, len(lines) - 1))
    some = [line for line in lines[first : first + draw(st.integers(1, 12))] if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in some), default=0)
    text = "".join(line[indent:] for line in some)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        again = st.sampled_from([text[start:end] * 2, ""])
        text = text[:start] + draw(st.one_of(st.sampled_from(PIECES), again)) + text[end:]
    return text


@given(cut_and_mutated())
@settings(max_examples=1000, deadline=None)
def test_any_mutation_of_some_lines(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_value(text: str) -> None:
    check(f"a: {text}\n")
    check(f"a: {{b: {text}, c: d}}\n")
    check(f"a:\n- {text}\n- [{text}, x]\n")
    check(f"a:\n  {text}: b\n  c: d\n")
