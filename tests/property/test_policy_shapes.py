"""Policies made from one template share instructions, and each still decides like the evaluator."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.policies.rig import Shared, loaded
from tests.policies.strategies import any_frames, policies
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.counted import counted
from xdpctl.policy.fields import FIELDS
from xdpctl.policy.shape import Candidate, Shape, shapes
from xdpctl.topology.model import Condition, Interval, Policy, Rule

pytestmark = pytest.mark.kernel

DEVICES = {"eth0": 1, "eth1": 77, "eth2": 78}
FRAMES = 12


@st.composite
def siblings(draw: st.DrawFn, policy: Policy) -> Policy:
    """The policy with numbers near its own; where they would run together they stay."""

    def moved(condition: Condition) -> Condition:
        values = condition.intervals
        if not 0 < len(values) <= 4 or not draw(st.booleans()):
            return condition
        shift, most = draw(st.integers(-3, 3)), 1 << FIELDS[condition.key].bits
        shifted = tuple(Interval(one.low + shift, one.high + shift) for one in values)
        inside = shifted[0].low >= 0 and shifted[-1].high < most
        return (
            replace(condition, intervals=shifted)
            if inside and condition.key != "meta.port"
            else condition
        )

    def again(rule: Rule) -> Rule:
        return replace(rule, conditions=tuple(moved(one) for one in rule.conditions))

    rules = tuple(replace(again(rule), into=rule.into) for rule in policy.rules)
    return replace(policy, rules=rules)


def candidate(policy: Policy) -> Candidate:
    return Candidate(policy, tuple(range(len(counted(policy)) + 1)))


def shared(family: Sequence[Policy]) -> list[Shape]:
    return shapes([candidate(each) for each in family], Bindings(devices=DEVICES))


@settings(
    max_examples=int(os.environ.get("SHAPES", "30")),
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data(), policy=policies())
def test_each_member_of_a_shape_decides_like_the_evaluator(
    data: st.DataObject, policy: Policy
) -> None:
    family = [policy, data.draw(siblings(policy)), data.draw(siblings(policy))]
    met = [shape for shape in shared(family) if any(shape.rows)]
    assume(met)
    many = data.draw(st.lists(any_frames(), min_size=FRAMES, max_size=FRAMES))
    for shape in met:
        assert shape.steps is not None
        for member, row in zip(shape.members, shape.rows, strict=True):
            with loaded(family[member], Shared(shape.steps, row)) as rig:
                for frame in many:
                    rig.check(frame)
