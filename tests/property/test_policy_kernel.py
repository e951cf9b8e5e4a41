"""Random policies on random frames: kernel and evaluator must decide and count alike.

POLICY_PAIRS=100000 makes the long run: at least so many pairs of policy and frame.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.policies.rig import loaded
from tests.policies.strategies import any_frames, policies
from xdpctl.topology.model import Policy

pytestmark = pytest.mark.kernel

FRAMES_A_POLICY = 25
PAIRS = int(os.environ.get("POLICY_PAIRS", "3000"))


@settings(
    max_examples=-(-PAIRS // FRAMES_A_POLICY),
    deadline=None,
    phases=[Phase.generate],  # a failure names its policy and frame; shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)
@given(
    policy=policies(),
    many=st.lists(any_frames(), min_size=FRAMES_A_POLICY, max_size=FRAMES_A_POLICY),
)
def test_kernel_and_evaluator_agree(policy: Policy, many: list[bytes]) -> None:
    with loaded(policy) as rig:
        for frame in many:
            rig.check(frame)
