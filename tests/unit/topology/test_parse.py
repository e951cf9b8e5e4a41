"""YAML by the rules of 1.2, bounded in time, with a place for every node."""

import pytest

from xdpctl.errors import Problem
from xdpctl.topology.parse import MAX_NODES, parse, resolve
from xdpctl.topology.tree import Mapping, Scalar, Sequence, plain


def tree(text: str) -> object:
    problems: list[Problem] = []
    node = parse(text, "f", problems)
    assert problems == []
    assert node is not None
    return plain(node)


def told(text: str) -> list[str]:
    problems: list[Problem] = []
    parse(text, "f", problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-7", -7), ("+7", 7), ("0", 0), ("0x10", 16), ("0o17", 15), ("010", "010"),
        ("1_000", "1_000"), ("1.5", "1.5"), (".inf", ".inf"), (".nan", ".nan"), ("1e3", "1e3"),
        ("~", None), ("", None), ("null", None), ("Null", None), ("nULL", "nULL"),
        ("true", True), ("TRUE", True), ("yes", "yes"), ("on", "on"), ("off", "off"),
        ("10:20:30:40:50:60", "10:20:30:40:50:60"), ("2001-01-01", "2001-01-01"),
        ("9" * 40, int("9" * 40)), ("9" * 5000, "9" * 5000), ("٣", "٣"), ("0b1", "0b1"),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["1", \'2\', !!str 3, ! 4, !!int "5", !!bool "true"]', ["1", "2", "3", "4", 5, True]),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: >-\n  x\n  y\n", {"a": "x y"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}),
        ("- &x {a: 1}\n- &y {a: 2, b: 2}\n- {<<: [*x, *y]}",
         [{"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}]),
        ('"<<": 1', {"<<": 1}),
        ("? a\n: b", {"a": "b"}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("--- {a: 1}\n...\n", {"a": 1}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
        ("{a: [], b: {}, c: }", {"a": [], "b": {}, "c": None}),
        ("größe: ü", {"größe": "ü"}),
        ("{a: ::1, b: [::/0, x], c: ::}", {"a": "::1", "b": ["::/0", "x"], "c": "::"}),
        ("{a: ::1}", {"a": "::1"}),
        ('{"a":1, \'b\':2, c: 3}', {"a": 1, "b": 2, "c": 3}),
        ("{a: b:c, d: 02:00:00:00:00:01}", {"a": "b:c", "d": "02:00:00:00:00:01"}),
        ("a: ::1\nb: :x", {"a": "::1", "b": ":x"}),
        ("{? a : b}", {"a": "b"}),
    ],
)  # fmt: skip
def test_documents(text: str, value: object) -> None:
    assert tree(text) == value


def test_places() -> None:
    node = parse("a: 1\nb:\n  - x\n  - {c: yé, d: e}\n", "f", [])
    assert isinstance(node, Mapping)
    key, items = node.entries["b"]
    assert (key.line, key.column) == (2, 1)
    assert isinstance(items, Sequence)
    inner = items.items[1]
    assert isinstance(inner, Mapping)
    key, value = inner.entries["d"]
    assert (inner.line, inner.column, key.column, value.column) == (4, 5, 13, 16)
    assert isinstance(value, Scalar)
    assert value.plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: *a", "f:1:4: alias *a has no anchor before it"),
        ("a: &a\n  b: *a", "f:2:6: alias *a stands inside its own anchor"),
        ("a: !!binary aGk=", "f:1:4: tag !!binary does not fit here"),
        ("a: !!int x", "f:1:4: tag !!int does not fit here"),
        ("a: !!set {b}", "f:1:4: tag !!set does not fit here"),
        ("a: !!map [b]", "f:1:4: tag !!map does not fit here"),
        ("a: b\x00", "f:1:5: character U+0000 is not allowed in YAML"),
        ("a: 1\nb: \x1b[31m", "f:2:4: character U+001B is not allowed in YAML"),
        ("%YAML 2.0\n---\na: 1",
         "f:1:1: not YAML: found incompatible YAML document (version 1.* is required)"),
        ("a: 1\n--- \nb: 1", "f:2:1: a second document: one file is one topology, remove this ---"),
        ("~", "f:1:1: the file is empty"),
        ("", "f:1:1: the file is empty"),
    ],
)  # fmt: skip
def test_refused(text: str, message: str) -> None:
    assert told(text) == [message]


def test_python_errors_of_the_scanner_do_not_come_out() -> None:
    for text in ('"\\UFFFFFFFF"', '"\\xZZ"', "%TAG\n---\n", "%YAML\n---\n", "!<", "&", "? &a\n: *"):
        assert told(text), text


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        ten = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{ten}]")
    return "\n".join(lines)


def merges() -> str:
    """Each line merges 2,000 keys 40 times: cheap to write, dear to do."""
    keys = ", ".join(f"k{number}: 1" for number in range(2000))
    many = ", ".join(["*a"] * 40)
    return f"a: &a {{{keys}}}\n" + "".join(f"b{n}: {{<<: [{many}]}}\n" for n in range(2000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(12), f"more than {MAX_NODES} values"),
        (merges(), f"more than {MAX_NODES} values"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("{a: " * 100_000, "nested more than 32 deep"),
        ("- " * 50_000, "nested more than 32 deep"),
        ("\n".join(f"a{n}: &a{n} [[[*a{n - 1}]]]" if n else "a0: &a0 x" for n in range(5000)),
         "nested more than 32 deep"),
    ],
    ids=["laughs", "merges", "brackets", "braces", "dashes", "aliases"],
)  # fmt: skip
def test_bombs_go_off_outside(text: str, message: str) -> None:
    assert any(message in problem for problem in told(text))
