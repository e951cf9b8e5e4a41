"""Every write of runs that put devices into other namespaces is refused once."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import ERRORS, Made, Refusals, Writes, perform
from tests.fault.scenes import differences, snapshot
from tests.kernel import rig as rigs
from tests.kernel.conftest import Netns, eventually
from tests.kernel.containers import Yard
from tests.kernel.rig import DB, WEB, Rig, verdicts
from xdpctl.errors import ApplyError, KernelError
from xdpctl.host.netlink import Netlink

pytestmark = pytest.mark.kernel

TEXT = """\
version: 1
name: edge
devices:
  eth0: {kind: physical, state: up, xdp: {mode: native}}
  web0:
    {kind: macvlan, parent: eth0, address: "02:00:00:00:00:10", state: up, WEBxdp: {policy: web}}
  db0: {kind: macvlan, parent: eth0, address: "02:00:00:00:00:11", state: up, DBxdp: {policy: db}}
policies:
  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}
  db: {default: drop, rules: [{name: one, match: {udp.dport: 9001}, action: pass}]}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """From one placement of web0 and db0 to another: the containers' numbers, "-" for here."""

    first: str
    second: str
    change: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        return f"{self.first or 'none'} to {self.second or 'none'} {self.change[1]}".strip()


SCENES = (
    Scene("", "01"),
    Scene("--", "0-"),
    Scene("01", "10"),
    Scene("01", "--"),
    Scene("01", "01", ("mode: native", "mode: generic")),
    Scene("01", "01", ("kind: macvlan, parent: eth0, address: \"02:00:00:00:00:10\"",
                       "kind: macvtap, parent: eth0, address: \"02:00:00:00:00:10\"")),
    Scene("01", ""),
)  # fmt: skip


class Everything(Writes):
    """Counts every message of netlink besides."""

    def _batch(self, original: Callable[..., Refusals]) -> Callable[..., Refusals]:
        def batch(netlink: Netlink, requests: Sequence[tuple[bytes, str]]) -> Refusals:
            outcomes: Refusals = []
            for request in requests:
                refused = self._met(request[1])
                if refused:
                    outcomes.append(KernelError(request[1], refused))
                else:
                    outcomes += original(netlink, [request])
            return outcomes

        return batch


@pytest.fixture
def yard(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Yard]:
    made = Yard(rig, netnses)
    for _ in range(2):
        made.container()
    try:
        yield made
    finally:
        for each in made.containers:
            each.close()


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    made = Rig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def text(yard: Yard, places: str) -> str:
    """The topology with web0 and db0 at these places."""
    if not places:
        return ""
    lines = [
        "" if each == "-" else f"netns: {yard.containers[int(each)].name}, " for each in places
    ]
    return TEXT.replace("WEB", lines[0]).replace("DB", lines[1])


def state(yard: Yard) -> dict[str, Any]:
    """All that is to be the same after an undo."""
    spaces = [yard.rig.nic, *(each.netns for each in yard.containers)]
    pins = [pin for pin in rigs.pins(yard.rig.nic) if "parts-" not in pin]
    shown = yard.rig.show()
    return {
        "links": {each.name: snapshot(each) for each in spaces},
        "pins": pins,
        "counted": {name: verdicts(each) for name, each in shown.items()},
        "modes": {name: each["xdp"]["mode"] for name, each in shown.items()},
    }


def refusal(wanted: str) -> str | None:
    """What the run failed with, if it did."""
    try:
        perform(wanted)
    except ApplyError as error:
        return str(error)
    return None


def probe(yard: Yard) -> None:
    """Frames that are policed at the root, and at the devices."""
    for mac in (WEB, DB, "ff:ff:ff:ff:ff:ff"):
        for port in (9000, 9001):
            yard.send(mac, port, 1)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_every_write_may_be_refused(scene: Scene, yard: Yard, tmp_path: Path) -> None:
    first = text(yard, scene.first)
    second = text(yard, scene.second).replace(*scene.change)
    if first:
        yard.rig.apply(first)
        for name, place in zip(("web0", "db0"), scene.first, strict=True):
            netns = yard.rig.nic if place == "-" else yard.containers[int(place)].netns
            netns.ip("address", "add", f"192.0.{2 + (name == 'db0')}.1/24", "dev", name)
        probe(yard)
        yard.received()
    before, failing = state(yard), 0
    made = Made(tmp_path / "made")

    def meet(number: int) -> int:
        return ERRORS[number % len(ERRORS)] if number == failing else 0

    writes = Everything(meet)
    while True:
        failing += 1
        writes.begin()
        with pipeline.patched() as patch, yard.rig.nic.entered():
            made.arm(patch)
            writes.arm(patch)
            failure = refusal(second)
        if failure is None:
            break
        said = f"{failing}: {writes.names[failing - 1]}: {failure}"
        assert os.strerror(ERRORS[failing % len(ERRORS)]) in failure, said
        assert failure.endswith(("everything done before was undone", "nothing was changed")), said
        found = differences(before, state(yard))
        assert not found, f"{said}: {found}"
        if first:
            assert not yard.rig.plan(first).actions, said
        if first and failing % 9 == 1 and "-" not in scene.first:
            probe(yard)
            assert yard.received() == [{9000: 2}, {9001: 2}], said
            before = state(yard)
    assert failing > 2, "the scene must consist of several writes"
    assert writes.count < failing, "the run ended although a write of it was refused"
    with yard.rig.nic.entered():
        if second:
            assert pipeline.nothing_to_do(second)
        perform("")
        gc.collect()
        assert eventually(lambda: not made.left(), 30), made.left()
    assert not any(each.links() for each in yard.containers)
    assert not rigs.pins(yard.rig.nic)
