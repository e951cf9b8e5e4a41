"""The examples of docs/policies.md, as they are written there, in the kernel."""

from __future__ import annotations

import pytest

from tests.policies.action_examples import (
    ACTION_FILE,
    ACTIONS,
    MATCHED,
    NOT_MATCHED,
    SET_FILE,
    SETS,
)
from tests.policies.examples import EXAMPLES, WEB
from tests.policies.rig import loaded
from xdpctl.policy.evaluate import evaluate
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Action, SetType, Verdict

pytestmark = pytest.mark.kernel

FILE = """version: 1
name: t
devices:
  eth0: {{kind: physical}}
policies:
  p:
    default: drop
    rules:
      - {{match: {{{key}: {value}}}, action: pass}}
"""


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_example_does_what_the_page_says(key: str) -> None:
    example = EXAMPLES[key]
    source = FILE.format(key=key, value=example.value)
    policy = load_texts({"t": source}).policies["p"]
    with loaded(policy) as rig:
        assert evaluate(policy, example.frame, port="eth0").verdict == "pass"
        assert rig.check(example.frame) >= 4
        if example.other:
            assert evaluate(policy, example.other).index == 1
            assert rig.check(example.other) >= 4


def test_the_example_of_vlans_takes_untagged_frames_too() -> None:
    source = FILE.format(key="vlan.id", value=EXAMPLES["vlan.id"].value)
    policy = load_texts({"t": source}).policies["p"]
    with loaded(policy) as rig:
        assert evaluate(policy, WEB).verdict == "pass"
        assert rig.check(WEB) >= 4


@pytest.mark.parametrize("default", ["pass", "drop"])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_does_what_the_page_says(action: Action, default: Verdict) -> None:
    example = ACTIONS[action]
    source = ACTION_FILE.format(value=example.value, default=default)
    policy = load_texts({"t": source}).policies["p"]
    with loaded(policy) as rig:
        decision = evaluate(policy, MATCHED)
        assert decision.verdict == (example.then or default)
        assert decision.counted[0] == 0
        assert rig.check(MATCHED) >= 4
        assert evaluate(policy, NOT_MATCHED).verdict == default
        assert 0 not in evaluate(policy, NOT_MATCHED).counted
        assert rig.check(NOT_MATCHED) >= 4


@pytest.mark.parametrize("kind", SETS)
def test_a_set_does_what_the_page_says(kind: SetType) -> None:
    example = SETS[kind]
    source = SET_FILE.format(type=example.type, entries=example.entries, match=example.match)
    topology = load_texts({"t": source})
    assert topology.sets["some"].type == kind
    policy = topology.policies["p"]
    with loaded(policy) as rig:
        assert evaluate(policy, example.frame).verdict == "pass"
        assert rig.check(example.frame) >= 4
        assert evaluate(policy, example.other).verdict == "drop"
        assert rig.check(example.other) >= 4
