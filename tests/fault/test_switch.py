"""A switch: every write is refused once, and a run is killed before every write."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import ERRORS, LONG, Made, State, Writes, perform
from tests.fault.test_pipeline_injection import refusal
from tests.fault.test_pipeline_kill import killed
from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import Rig
from tests.kernel.rig import pins as pins_of
from tests.kernel.test_switch import MIXED, TEXT, taken_in
from xdpctl.datapath import bodies

pytestmark = pytest.mark.kernel

C1 = next(line for line in TEXT.splitlines(keepends=True) if line.startswith("  c1:"))
EDITED = TEXT.replace("udp.dport: 25", "udp.dport: [25, 26]")
TWO_NICS = TEXT.replace(
    "  eth0: {kind: physical}\n",
    "  eth1: {kind: physical}\n  eth0: {kind: physical, xdp: {policy: db}}\n",
)
SCENES = {
    "made": ("", TEXT),
    "edited": (TEXT, EDITED),
    "edited in parts": (TEXT, EDITED),
    "one less": (MIXED, MIXED.replace(C1, "")),
    "re-created": (TEXT, TEXT.replace("peer: c1in", "peer: c9in")),
    "another address": (TEXT, TEXT.replace(":00:22", ":00:29")),
    "to another NIC": (TWO_NICS, TWO_NICS.replace("parent: eth0", "parent: eth1")),
    "gone": (TEXT, ""),
}
ROOM = {"edited in parts": 8}
"""bodies.ROOM for which each of the policies is a part of its own."""
STRIDE = 1 if LONG else 5
"""Of the writes to be refused or killed at one in so many, from one run to the next another one."""


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    made = Rig(netnses(), netnses())
    made.connect()
    made.add_nic()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setattr(bodies, "ROOM", ROOM.get(name, bodies.ROOM))
    return name


@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_every_write_may_be_refused(rig: Rig, scene: str) -> None:
    first, second = SCENES[scene]
    with rig.nic.entered():
        perform(first)
    before = State.of(rig), taken_in(rig)
    failing = os.getpid() % STRIDE
    writes = Writes(lambda number: ERRORS[number % len(ERRORS)] if number == failing else 0)
    while True:
        failing += 1 if failing < 1 else STRIDE
        writes.begin()
        with pipeline.patched() as patch, rig.nic.entered():
            writes.arm(patch)
            failure = refusal(second)
        if failure is None:
            break
        said = f"{failing}: {writes.names[failing - 1]}: {failure}"
        assert os.strerror(ERRORS[failing % len(ERRORS)]) in failure, said
        assert failure.endswith(("everything done before was undone", "nothing was changed")), said
        assert (State.of(rig), taken_in(rig)) == before, said
    assert writes.count < failing, "the run ended although a write of it was refused"
    with rig.nic.entered():
        assert not second or pipeline.nothing_to_do(second)


@pytest.mark.parametrize("scene", SCENES, indirect=True)
def test_the_next_run_converges_after_a_kill(rig: Rig, scene: str, tmp_path: Path) -> None:
    first, second = SCENES[scene]
    made = Made(tmp_path / "made")
    for at in range(1 + os.getpid() % STRIDE, 10_000, STRIDE):
        with rig.nic.entered():
            perform(first)
            if not killed(lambda: perform(second), at, made):
                break
            if at % 2:
                perform(second)
                assert not second or pipeline.nothing_to_do(second), at
            perform("")
            gc.collect()
        assert (pins_of(rig.nic), taken_in(rig)) == ([], set()), at
        assert eventually(lambda: not made.left(), 30), (at, made.left())
