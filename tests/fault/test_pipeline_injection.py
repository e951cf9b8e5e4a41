"""Every BPF write of a run is refused once: the datapath is then as it was before."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import ERRORS, SCENES, Made, Scene, State, Writes, perform
from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import Rig
from xdpctl.apply import carry_out
from xdpctl.errors import ApplyError, VerifyError

pytestmark = pytest.mark.kernel


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    made = Rig(netnses(), netnses())
    try:
        yield made
    finally:
        made.close()


def refused_with(number: int) -> int:
    """The error that write `number` is refused with."""
    return ERRORS[number % len(ERRORS)]


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_every_write_may_be_refused(
    scene: Scene, rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline.prepared(scene, rig, monkeypatch)
    before = State.of(rig)
    made = Made(tmp_path / "made")
    failing = 0

    def meet(number: int) -> int:
        return refused_with(number) if number == failing else 0

    writes = Writes(meet)
    while True:
        failing += 1
        writes.begin()
        with pipeline.patched() as patch, rig.nic.entered():
            made.arm(patch)
            writes.arm(patch)
            failure = refusal(scene.second)
        if failure is None:
            break
        said = f"{failing}: {writes.names[failing - 1]}: {failure}"
        assert os.strerror(refused_with(failing)) in failure, said
        assert failure.endswith(("everything done before was undone", "nothing was changed")), said
        assert State.of(rig) == before, said
        if scene.first and failing % 5 == 1:
            old_policies_are_met(rig, said)
            before = State.of(rig)
    assert failing > 2, "the scene must consist of several writes"
    assert writes.count < failing, "the run ended although a write of it was refused"
    with rig.nic.entered():
        if scene.second:
            assert pipeline.nothing_to_do(scene.second)
        perform("")
        gc.collect()
        assert eventually(lambda: not made.left(), 30), made.left()


def refusal(text: str) -> str | None:
    """What the run failed with, if it did."""
    try:
        perform(text)
    except ApplyError as error:
        return str(error)
    return None


def old_policies_are_met(rig: Rig, said: str) -> None:
    """Those of pipeline.BASE."""
    assert pipeline.probe(rig) == {("web0", 9000): 1, ("db0", 9001): 1}, said


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_what_cannot_be_undone_is_said(
    scene: Scene, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one write on every write is refused, those that undo as well; the next run mends it."""
    pipeline.prepared(scene, rig, monkeypatch)
    refused = 0
    writes = Writes(lambda number: ERRORS[0] if number >= refused else 0)
    while True:
        refused += 4
        before = State.of(rig)
        writes.begin()
        with pipeline.patched() as patch, rig.nic.entered():
            writes.arm(patch)
            failure = refusal(scene.second)
        if failure is None:
            break
        said = f"{refused}: {writes.names[refused - 1]}: {failure}"
        assert os.strerror(ERRORS[0]) in failure.splitlines()[0], said
        undone = failure.endswith(("everything done before was undone", "nothing was changed"))
        assert undone == ("not everything could be undone" not in failure), said
        assert not undone or State.of(rig) == before, said
        with rig.nic.entered():
            perform(scene.second)
            assert not scene.second or pipeline.nothing_to_do(scene.second), said
            perform(scene.first)
    assert writes.count < refused, "the run ended although a write of it was refused"


@pytest.mark.parametrize("scene", [one for one in SCENES if one.first], ids=str)
def test_what_fails_last_undoes_all_and_keeps_the_counts(
    scene: Scene, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that came while the new pipeline was in force stay counted."""
    pipeline.prepared(scene, rig, monkeypatch)
    before = State.of(rig)
    totals = pipeline.counted(rig)

    def verify(again: object) -> None:
        for device, address in (("web0", pipeline.WEB), ("db0", pipeline.DB)):
            rig.send(address, 9002, for_=device, count=3)
        rig.received()
        raise VerifyError("sabotaged")

    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "verify", verify)
        with rig.nic.entered(), pytest.raises(ApplyError, match="everything done before was und"):
            perform(scene.second)
    after = State.of(rig)
    assert (after.links, after.pins, after.pipelines) == (
        before.links,
        before.pins,
        before.pipelines,
    )
    if "enabled: true" in scene.second:
        for device in pipeline.kept(scene.first, scene.second) & totals.keys():
            assert pipeline.counted(rig)[device] == totals[device] + 3
    old_policies_are_met(rig, "")


OWNED = """\
version: 1
name: edge
devices:
  v0: {kind: veth, peer: v1, state: up, xdp: {mode: MODE}}
  web0: {kind: macvlan, parent: v0, address: "02:00:00:00:00:10", state: up, xdp: {policy: web}}
policies:
  web: {default: drop, rules: [{match: {ether.type: arp}, action: pass}]}
"""


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize("change", ["", "peer: v2", "kind: macvtap"])
def test_devices_deleted_in_vain_come_back_with_their_programs(
    rig: Rig, change: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root itself, too, where it is the topology's own."""
    before = OWNED.replace("MODE", mode)
    old = {"peer: v2": "peer: v1", "kind: macvtap": "kind: macvlan"}.get(change, before)
    rig.apply(before)
    state = State.of(rig)

    def verify(again: object) -> None:
        raise VerifyError("sabotaged")

    with monkeypatch.context() as patch, rig.nic.entered():
        patch.setattr(carry_out, "verify", verify)
        with pytest.raises(ApplyError, match="sabotaged; everything done before was undone"):
            perform(before.replace(old, change))
    assert State.of(rig) == state
    with rig.nic.entered():
        assert pipeline.nothing_to_do(before)
