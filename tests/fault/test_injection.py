"""Every netlink write of a run is made to fail once: the host is then as it was before."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest

from tests.fault.scenes import SCENES, Scene, differences, snapshot, topology
from tests.kernel.conftest import Netns
from xdpctl.apply import run
from xdpctl.errors import ApplyError, KernelError, XdpctlError
from xdpctl.host.netlink import Netlink

pytestmark = pytest.mark.kernel


class Saboteur:
    """Stands before Netlink.batch and has the `fail`-th write refused; 0: none, only counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fail = 0
        original = Netlink.batch

        def batch(
            netlink: Netlink, requests: Sequence[tuple[bytes, str]]
        ) -> list[XdpctlError | None]:
            outcomes: list[XdpctlError | None] = []
            for message, operation in requests:
                self.count += 1
                if self.count == self.fail:
                    outcomes.append(KernelError(operation, errno.EIO, "sabotaged"))
                else:
                    outcomes += original(netlink, [(message, operation)])
            return outcomes

        monkeypatch.setattr(Netlink, "batch", batch)

    def arm(self, number: int) -> None:
        """Count anew, and have that write fail."""
        self.count, self.fail = 0, number


def perform(devices: str) -> None:
    """Apply a scene's topology, or destroy it."""
    if devices:
        run.apply(topology(devices))
    else:
        run.destroy("edge")


def attempt(devices: str) -> str | None:
    """What the run failed with, if it did."""
    try:
        perform(devices)
    except ApplyError as error:
        return str(error)
    return None


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_write_may_fail(scene: Scene, netns: Netns, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.prepare(netns)
    saboteur = Saboteur(monkeypatch)
    with netns.entered():
        if scene.first:
            perform(scene.first)
        if "web0" in scene.first:
            netns.ip("address", "add", "192.0.2.1/24", "dev", "web0")
            netns.ip("address", "add", "2001:db8::1/64", "dev", "web0", "nodad")
            netns.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.9")
        before = snapshot(netns)
        number = 0
        while True:
            number += 1
            saboteur.arm(number)
            failure = attempt(scene.second)
            if failure is None:
                break
            saboteur.arm(0)
            assert "sabotaged" in failure
            assert failure.endswith(("everything done before was undone", "nothing was changed"))
            found = differences(before, snapshot(netns))
            assert not found, f"after write {number} failed: {failure}"
            if scene.first:
                left = run.plan(topology(scene.first))[0].actions
                assert not left, f"after write {number} failed: {failure}"
        assert number > 2, "the scene must consist of several writes"
        assert saboteur.count < number, "the run ended although a write of it failed"
        if scene.second:
            assert not run.plan(topology(scene.second))[0].changed
        saboteur.arm(0)
        if scene.second:
            run.destroy("edge", missing_ok=True)
        devices = {link["ifname"] for link in netns.json("link")}
    assert devices == {"lo", "eth0", "wire"}
