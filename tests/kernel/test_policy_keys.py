"""Every key with every way to write its value, in the kernel and in the evaluator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.policies.key_table import APART, SUBJECTS, operators
from tests.policies.rig import loaded
from tests.policies.rows import Row, number
from xdpctl.policy.evaluate import evaluate
from xdpctl.topology.keys import KEYS
from xdpctl.topology.model import Condition, Interval, Location, Policy, Rule

HERE = Location("policy.yaml", 1, 1)


def verdicts(key: str, row: Row) -> Iterator[tuple[bytes, bool]]:
    """Frames that have the field, and whether the plain condition holds on them."""
    numbers = dict.fromkeys(row.inside, True) | dict.fromkeys(row.outside, False) | row.edges
    for carrier in SUBJECTS[key].carriers:
        for value, holds in numbers.items():
            yield carrier(number(value)), holds


def passing(condition: Condition) -> Policy:
    """Pass where the condition holds, drop elsewhere."""
    return Policy("one", "drop", (Rule("1", (condition,), "pass", HERE),), HERE)


@pytest.mark.kernel
@pytest.mark.parametrize("negated", [False, True], ids=["plain", "negated"])
@pytest.mark.parametrize(
    ("key", "row"),
    [
        pytest.param(key, row, id=f"{key} {row.operator} {row.raw[0]}")
        for key, subject in SUBJECTS.items()
        for row in subject.rows
    ],
)
def test_a_condition_holds_where_the_table_says(key: str, row: Row, negated: bool) -> None:
    policy = passing(row.condition(key, negated=negated))
    with loaded(policy) as rig:
        for frame, holds in verdicts(key, row):
            wanted = "pass" if holds != negated else "drop"
            assert evaluate(policy, frame).verdict == wanted, frame.hex()
            assert rig.check(frame) >= 4
        for stranger in SUBJECTS[key].strangers:
            if row.operator != "none":
                assert evaluate(policy, stranger).index == 1, stranger.hex()
            assert rig.check(stranger) >= 4


@pytest.mark.kernel
@pytest.mark.parametrize("key", SUBJECTS)
def test_all_values_means_that_the_protocol_is_there(key: str) -> None:
    """0-65535, 0.0.0.0/0 and ::/0, and their opposites that nothing matches."""
    everything = (Interval(0, (1 << KEYS[key].bits) - 1),)
    for negated, wanted in ((False, "pass"), (True, "drop")):
        policy = passing(Condition(key, everything, negated))
        with loaded(policy) as rig:
            for frame, _ in verdicts(key, SUBJECTS[key].rows[0]):
                assert evaluate(policy, frame).verdict == wanted
                rig.check(frame)
            for stranger in SUBJECTS[key].strangers:
                assert evaluate(policy, stranger).verdict == "drop"
                rig.check(stranger)


@pytest.mark.parametrize(
    ("key", "operator"),
    [(key, operator) for key in KEYS if key not in APART for operator in sorted(operators(key))],
)
def test_the_table_has_every_case_of_every_pair(key: str, operator: str) -> None:
    subject = SUBJECTS[key]
    rows = [row for row in subject.rows if row.operator == operator]
    assert rows
    for row in rows:
        assert row.inside
        assert row.outside
        assert set(row.edges.values()) == {True, False}
    assert subject.carriers
    has_protocol = KEYS[key].guards or key.startswith("vlan.")
    assert bool(subject.strangers) == bool(has_protocol)


def test_the_table_has_no_row_that_is_not_asked_for() -> None:
    assert set(SUBJECTS) | APART == set(KEYS)
    for key, subject in SUBJECTS.items():
        assert {row.operator for row in subject.rows} == operators(key)


@pytest.mark.parametrize("key", SUBJECTS)
def test_rows_say_which_values_are_written(key: str) -> None:
    """The rows against the parser of values alone, without frames."""
    for row in SUBJECTS[key].rows:
        condition = row.condition(key, negated=False)
        numbers = dict.fromkeys(row.inside, True) | dict.fromkeys(row.outside, False) | row.edges
        for value, holds in numbers.items():
            assert (number(value) in condition) == holds
