"""A run is killed (SIGKILL) before and after every write: the next one converges."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

import pytest

from tests.fault.scenes import SCENES, Scene, topology
from tests.kernel.conftest import Netns
from xdpctl.apply import run
from xdpctl.apply.pipeline import PipelinePerformer
from xdpctl.bpf import pins
from xdpctl.errors import XdpctlError
from xdpctl.host.netlink import Netlink
from xdpctl.plan.operation import Operation

pytestmark = pytest.mark.kernel


class Killer:
    """In the child: kills it before its `at`-th write (or the write's end, for odd numbers)."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def pass_by(self) -> None:
        """A moment before or after a write."""
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def arm(self) -> None:
        """Stand around everything that writes."""
        batch, perform = Netlink.batch, PipelinePerformer.perform

        def watched_batch(
            netlink: Netlink, requests: Sequence[tuple[bytes, str]]
        ) -> list[XdpctlError | None]:
            outcomes: list[XdpctlError | None] = []
            for request in requests:
                self.pass_by()
                outcomes += batch(netlink, [request])
                self.pass_by()
            return outcomes

        def watched_perform(performer: PipelinePerformer, operation: Operation) -> None:
            self.pass_by()
            perform(performer, operation)
            self.pass_by()

        Netlink.batch = watched_batch  # type: ignore[method-assign, assignment]
        PipelinePerformer.perform = watched_perform  # type: ignore[method-assign, assignment]


def perform(devices: str) -> None:
    """Apply a scene's topology, or destroy it (once more, if it is gone already)."""
    if devices:
        run.apply(topology(devices))
    else:
        run.destroy("edge", missing_ok=True)


def killed(action: Callable[[], None], at: int) -> bool:
    """Run the action in a child that is killed at that moment; False if it ended before."""
    child = os.fork()
    if not child:
        try:
            Killer(at).arm()
            action()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"the child failed at {at}"
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_next_run_converges(scene: Scene, netns: Netns) -> None:
    scene.prepare(netns)
    at = -1
    with netns.entered():
        while True:
            at += 1
            if scene.first:
                perform(scene.first)
            died = killed(lambda: perform(scene.second), at)
            perform(scene.second)
            if scene.second:
                assert not run.plan(topology(scene.second))[0].operations, f"killed at {at}"
                run.destroy("edge", missing_ok=True)
            devices = {link["ifname"]: link for link in netns.json("link")}
            assert devices.keys() == {"lo", "eth0", "wire"}, f"killed at {at}"
            assert "xdp" not in devices["eth0"], f"killed at {at}"
            assert devices["eth0"].get("ifalias") is None
            assert not pins.entries(pins.directory(netns.name, "edge")), f"killed at {at}"
            if not died:
                break
    assert at > 2, "the scene must consist of several writes"


@pytest.mark.parametrize("scene", SCENES[:4], ids=lambda scene: scene.name)
def test_destroy_after_a_kill_leaves_nothing(scene: Scene, netns: Netns) -> None:
    scene.prepare(netns)
    at = -1
    with netns.entered():
        while True:
            at += 3
            if scene.first:
                perform(scene.first)
            died = killed(lambda: perform(scene.second), at)
            run.destroy("edge", missing_ok=True)
            assert {link["ifname"] for link in netns.json("link")} == {"lo", "eth0", "wire"}
            if not died:
                break
