"""The examples of docs/policies.md, as they are written there, in the kernel."""

from __future__ import annotations

import pytest

from tests.policies.examples import EXAMPLES, WEB
from tests.policies.rig import loaded
from xdpctl.policy.evaluate import evaluate
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

FILE = """version: 1
name: t
devices: {{}}
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
        assert evaluate(policy, example.frame).verdict == "pass"
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
