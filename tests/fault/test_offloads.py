"""Switching features: every write is refused once, and a run is killed before every write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import ERRORS, Made, Writes, perform
from tests.fault.scenes import snapshot
from tests.fault.test_pipeline_injection import refusal
from tests.fault.test_pipeline_kill import killed
from tests.kernel.conftest import Netns
from tests.kernel.rig import pins as pins_of
from tests.kernel.test_offloads import REDIRECTING, TAGS, TEXT, UNTAGGED, are_on, features, near
from xdpctl.apply import run

__all__ = ["near"]

pytestmark = pytest.mark.kernel

SCENES = {
    "switched": ("", TEXT),
    "back": (TEXT, UNTAGGED),
    "gone": (TEXT, ""),
    "gone with its device": (REDIRECTING, ""),
}
KILL_STRIDE = 3


def state(netns: Netns) -> Any:
    """Links, features, pins, and what is remembered."""
    with netns.entered():
        tuned = dict(run.observe("edge").live.tuned)
    devices = ["wire", *(one["ifname"] for one in netns.json("link") if one["ifname"] == "out1")]
    found = {device: features(netns, device) for device in devices}
    return snapshot(netns), found, pins_of(netns), tuned


@pytest.mark.parametrize("scene", SCENES)
def test_every_write_may_be_refused(near: Netns, scene: str) -> None:
    first, second = SCENES[scene]
    with near.entered():
        perform(first)
    before = state(near)
    failing = 0
    writes = Writes(lambda number: ERRORS[number % len(ERRORS)] if number == failing else 0)
    while True:
        failing += 1
        writes.begin()
        with pipeline.patched() as patch, near.entered():
            writes.arm(patch)
            failure = refusal(second)
        if failure is None:
            break
        said = f"{failing}: {writes.names[failing - 1]}: {failure}"
        assert os.strerror(ERRORS[failing % len(ERRORS)]) in failure, said
        assert failure.endswith(("everything done before was undone", "nothing was changed")), said
        assert state(near) == before, said
    assert "switch" in writes.names
    assert writes.count < failing, "the run ended although a write of it was refused"


@pytest.mark.parametrize("scene", ["switched", "back"])
def test_destroy_after_a_kill_switches_back(near: Netns, scene: str, tmp_path: Path) -> None:
    first, second = SCENES[scene]
    made = Made(tmp_path / "made")
    for at in moments():
        with near.entered():
            perform(first)
            if not killed(lambda: perform(second), at, made):
                break
            if at % 2:
                perform(second)
                assert pipeline.nothing_to_do(second), at
            perform("")
        assert are_on(near, "wire", TAGS) == [True, True], at
        assert pins_of(near) == [], at
    assert at > KILL_STRIDE


def moments() -> Iterator[int]:
    """The writes to be killed at."""
    return iter(range(1 + os.getpid() % KILL_STRIDE, 10_000, KILL_STRIDE))
