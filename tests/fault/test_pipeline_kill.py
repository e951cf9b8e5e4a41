"""A run is killed (SIGKILL) at every BPF write: no frame is unpoliced, and the next converges."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import ADOPTING, ALWAYS_WHOLE, LONG, SCENES, Made, Scene, Writes, perform
from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import Rig
from xdpctl.bpf import pins

pytestmark = pytest.mark.kernel

STRIDE = 6
"""Of the other scenes one moment in so many, from one run to the next another one."""


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    made = Rig(netnses(), netnses())
    try:
        yield made
    finally:
        made.close()


def killed(action: Callable[[], None], at: int, made: Made) -> bool:
    """Run the action in a child that is killed before its write number `at`, or after the last;
    False where it came to no such write.
    """
    child = os.fork()
    if not child:
        try:
            die_at(action, at, made)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child failed at {at}"
    return os.WTERMSIG(status) == signal.SIGKILL


def die_at(action: Callable[[], None], at: int, made: Made) -> None:
    """In the child."""

    def meet(number: int) -> int:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    writes = Writes(meet)
    with pipeline.patched() as patch:
        made.arm(patch)
        writes.arm(patch)
        writes.arm_stores(patch)
        action()
    last = writes.count == at - 1
    os.kill(os.getpid(), signal.SIGKILL if last else signal.SIGTERM)


def moments(scene: Scene) -> Iterator[int]:
    """The writes to be killed at: all, or some of the longer scenes."""
    step = 1 if LONG or scene.name in ALWAYS_WHOLE else STRIDE
    return iter(range(1 if step == 1 else 1 + os.getpid() % step, 10_000, step))


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_the_next_run_converges_and_destroy_leaves_nothing(
    scene: Scene, rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline.prepared(scene, rig, monkeypatch)
    made = Made(tmp_path / "made")
    for at in moments(scene):
        with rig.nic.entered():
            if not killed(lambda: perform(scene.second), at, made):
                break
        stay = pipeline.kept(scene.first, scene.second) if scene.second != pipeline.OFF else set()
        if stay:
            nothing_unpoliced(rig, at)
        with rig.nic.entered(), pipeline.patched() as patch:
            made.arm(patch)
            perform(scene.second)
            if scene.second:
                assert pipeline.nothing_to_do(scene.second), at
        if stay and scene.name not in ADOPTING:
            counts_are_kept(rig, stay, at)
        nothing_left(rig, made, at)
        again(scene, rig)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_destroy_after_a_kill_leaves_nothing(
    scene: Scene, rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline.prepared(scene, rig, monkeypatch)
    made = Made(tmp_path / "made")
    for at in moments(scene):
        with rig.nic.entered():
            if not killed(lambda: perform(scene.second), at, made):
                break
        nothing_left(rig, made, at)
        again(scene, rig)


def nothing_unpoliced(rig: Rig, at: int) -> None:
    """Whichever policies are in force, the port that none of them passes is closed."""
    arrived = pipeline.probe(rig)
    assert {port for _, port in arrived} <= {8000, 9000, 9001}, at


def counts_are_kept(rig: Rig, devices: set[str], at: int) -> None:
    """Of the first probe, and of the one after the kill, which gates may have counted twice."""
    counted = pipeline.counted(rig)
    for device in devices & counted.keys():
        assert counted[device] >= 6, (at, device, counted)


def nothing_left(rig: Rig, made: Made, at: int) -> None:
    """Destroy it, and look for what is left."""
    with rig.nic.entered():
        perform("")
    devices = {link["ifname"]: link for link in rig.nic.json("link")}
    assert devices.keys() == {"lo", "eth0"}, at
    assert "xdp" not in devices["eth0"], at
    assert "ifalias" not in devices["eth0"], at
    assert not (pins.ROOT / pins.file_name(rig.nic.name)).exists(), at
    gc.collect()  # what this process itself had open
    assert eventually(lambda: not made.left(), 30), (at, made.left())


def again(scene: Scene, rig: Rig) -> None:
    """The scene's first topology once more, with sockets on the new devices."""
    pipeline.forget(rig)
    if scene.first:
        rig.apply(scene.first)
        pipeline.listen(rig)
        pipeline.probe(rig)
