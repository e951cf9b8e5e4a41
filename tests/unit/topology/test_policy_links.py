"""`policy: NAME` goes on in that very policy, wherever it is; chains and circles of any size."""

import time

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology.load import load_texts

HEADER = "version: 1\nname: t\ndevices: {}\n"


def test_a_policy_may_stand_behind_and_in_another_file() -> None:
    found = load_texts(
        {
            "a": HEADER + "policies:\n  one: {rules: [{action: {policy: two}}]}\n",
            "b": "policies:\n  two: {rules: [{action: count}, {action: {policy: three}}]}\n"
            "  three: {default: drop}\n",
        }
    ).policies
    assert list(found) == ["one", "two", "three"]
    assert found["one"].rules[0].target == "two"
    assert found["one"].rules[0].into is found["two"]
    assert found["two"].rules[0].into is None
    assert found["two"].rules[1].into is found["three"]
    assert str(found["three"].location) == "b:3:3"


def test_two_ways_into_one_policy_lead_to_the_same() -> None:
    found = load_texts(
        {
            "t": HEADER + "policies:\n"
            "  top: {rules: [{action: {policy: left}}, {action: {policy: right}}]}\n"
            "  left: {rules: [{action: {policy: end}}]}\n"
            "  right: {rules: [{action: {policy: end}}, {action: {policy: end}}]}\n"
            "  end: {}\n"
        }
    ).policies
    ends = [rule.into for name in ("left", "right") for rule in found[name].rules]
    assert all(end is found["end"] for end in ends)


def test_a_policy_that_is_wrong_itself_is_not_unknown() -> None:
    with pytest.raises(TopologyError) as error:
        load_texts(
            {"t": HEADER + "policies:\n  a: {rules: [{action: {policy: b}}]}\n  b: {default: x}\n"}
        )
    assert str(error.value) == "t:6:16: default must be pass or drop, not x"


def test_where_a_file_cannot_be_read_no_policy_is_unknown() -> None:
    with pytest.raises(TopologyError) as error:
        load_texts(
            {"a": HEADER + "policies:\n  a: {rules: [{action: {policy: b}}]}\n", "b": "policies: ["}
        )
    assert [problem.file for problem in error.value.problems] == ["b"]


def chain(count: int, end: str = "") -> str:
    lines = [f"  p{n}: {{rules: [{{action: {{policy: p{n + 1}}}}}]}}" for n in range(count)]
    return "\n".join([f"{HEADER}policies:", *lines, f"  p{count}: {end or '{}'}\n"])


def test_a_long_chain() -> None:
    found = load_texts({"t": chain(5000)}).policies
    policy, length = found["p0"], 0
    while policy.rules:
        into = policy.rules[0].into
        assert into is not None
        policy, length = into, length + 1
    assert (length, policy.name) == (5000, "p5000")


def test_a_long_circle_is_told_once_and_in_short() -> None:
    with pytest.raises(TopologyError) as error:
        load_texts({"t": chain(3000, "{rules: [{action: {policy: p0}}]}")})
    assert [problem.message for problem in error.value.problems] == [
        "policy goes in a circle: p0 -> p1 -> p2 -> … -> p3000 -> p0"
    ]


def test_ten_thousand_circles_are_told_in_time() -> None:
    """Each policy of a chain goes on in the next, in itself, and in the first."""
    count = 2500
    lines = [
        f"  p{n}: {{rules: [{{action: {{policy: p{n + 1}}}}}, {{action: {{policy: p{n}}}}}, "
        f"{{action: {{policy: p0}}}}, {{action: {{policy: p{n // 2}}}}}]}}"
        for n in range(count)
    ]
    text = "\n".join([f"{HEADER}policies:", *lines, f"  p{count}: {{}}\n"])
    start = time.process_time()
    with pytest.raises(TopologyError) as error:
        load_texts({"t": text})
    assert len(error.value.problems) > 3 * count - 10
    assert max(len(problem.message) for problem in error.value.problems) < 100
    assert time.process_time() - start < 30


def test_many_unknown_policies_are_told_in_time() -> None:
    names = [f"  policy-number-{n}: {{rules: [{{action: {{policy: polcy-number-{n}}}}}]}}"
             for n in range(3000)]  # fmt: skip
    start = time.process_time()
    with pytest.raises(TopologyError) as error:
        load_texts({"t": "\n".join([f"{HEADER}policies:", *names, ""])})
    assert len(error.value.problems) == 3000
    assert sum("did you mean" in problem.message for problem in error.value.problems) <= 20
    assert time.process_time() - start < 30
