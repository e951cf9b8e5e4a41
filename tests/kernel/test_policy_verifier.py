"""The verifier's work grows with the rules, not with the ways through them."""

from __future__ import annotations

import random
import struct

import pytest

from tests.policies import rig
from tests.policies.frames import IP4, UDP, ethernet, ip4, udp
from tests.policies.rig import Way, instructions
from xdpctl.bpf import maps, objects, program
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.evaluate import evaluate
from xdpctl.policy.fields import FIELDS
from xdpctl.policy.parse import Hook
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Action, Condition, Interval, Location, Policy, Rule

pytestmark = pytest.mark.kernel

HERE = Location("policy.yaml", 1, 1)
_PROG_INFO_VERIFIED = 216  # struct bpf_prog_info.verified_insns (u32), since 5.16


def many(count: int, action: Action) -> Policy:
    """Rules on all keys with single values: each compare teaches the verifier a constant."""
    pick = random.Random(count)
    rules = []
    for index in range(count):
        conditions = []
        for key in pick.sample(sorted(FIELDS), 2):
            value = pick.getrandbits(FIELDS[key].bits)
            conditions.append(Condition(key, (Interval(value, value),)))
        rules.append(Rule(str(index + 1), tuple(conditions), action, HERE))
    return Policy("many", "drop", tuple(rules), HERE)


def verified(policy: Policy, way: Way) -> int:
    flavour = program.Flavour.TC if way.hook is Hook.TC else program.Flavour.XDP
    kind = maps.MapType.ARRAY
    with (
        maps.create(kind, 4, 24, 1, "rig") as answer,
        program.load(
            instructions(policy, way, Bindings(way.hook), answer.fd, answer.fd), flavour, "verified"
        ) as loaded,
    ):
        info = objects.info(loaded.fd, _PROG_INFO_VERIFIED + 4)
    (number,) = struct.unpack_from("=I", info, _PROG_INFO_VERIFIED)
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("action", ["count", "pass"])
@pytest.mark.parametrize("way", [Way.XDP, Way.TC])
def test_four_times_the_rules_are_not_more_than_four_times_the_work(
    way: Way, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig, "MAX_COUNTERS", 1000)
    few, more = many(128, action), many(512, action)
    base = verified(many(1, action), way)
    assert base < 8000
    assert 0 < verified(more, way) - base < 6 * (verified(few, way) - base)
    assert verified(more, way) < 100_000


@pytest.mark.parametrize(
    ("values", "takes"),
    [
        ("[0.0.0.0/0, '@some']", (True, True)),
        ("['@some', 0.0.0.0-255.255.255.255]", (True, True)),
        ("'!@some'", (True, False)),
        ("'@some'", (False, True)),
    ],
)
def test_what_adds_to_all_values_leaves_no_instruction_that_none_reaches(
    values: str, takes: tuple[bool, bool]
) -> None:
    """The rule behind has the same guard, so it stands right behind what always jumps away."""
    text = f"""\
version: 1
name: t
devices: {{}}
sets:
  some: {{type: ip4, entries: [10.0.0.1]}}
policies:
  p:
    rules:
      - {{name: all, match: {{ip4.saddr: {values}}}, action: drop}}
      - {{name: behind, match: {{ip4.daddr: 192.0.2.1}}, action: count}}
"""
    (policy,) = load_texts({"t.yaml": text}).policies.values()
    frames = [ethernet(IP4, ip4(UDP, udp(), saddr=saddr)) for saddr in ("10.0.0.2", "10.0.0.1")]
    with rig.loaded(policy) as loaded:
        for frame, taken in zip(frames, takes, strict=True):
            assert (evaluate(policy, frame).verdict == "drop") == taken
            assert loaded.check(frame) >= 4
