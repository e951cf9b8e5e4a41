"""Other runs, other people's programs and pins, and a host without bpffs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault import pipeline
from tests.fault.pipeline import BASE, EDITED, State, perform
from tests.kernel.conftest import Netns
from tests.kernel.rig import Rig
from xdpctl.apply import carry_out, run
from xdpctl.bpf import links, maps, pins, program
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.links import XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
from xdpctl.errors import ApplyError, ConflictError, MissingError, VerifyError
from xdpctl.host import clsact
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.xdp import set_xdp
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

FLAGS = {"native": XDP_FLAGS_DRV_MODE, "generic": XDP_FLAGS_SKB_MODE}
TCX_INGRESS = 46


@pytest.fixture
def rig(netnses: Callable[[], Netns]) -> Iterator[Rig]:
    made = Rig(netnses(), netnses())
    made.connect()
    try:
        yield made
    finally:
        made.close()


def returning(code: int, flavour: program.Flavour) -> program.Program:
    """Somebody else's program: it returns `code`."""
    asm = Assembler()
    asm.mov(R0, code)
    asm.exit()
    return program.load(asm.assemble(), flavour, "somebody_elses")


def topology_file(where: Path) -> Path:
    file = where / "edge.yaml"
    file.write_text(BASE)
    return file


def command(rig: Rig, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "xdpctl", "--netns", rig.nic.name, *arguments]


# --- other runs


def test_of_two_runs_at_once_one_has_the_lock(rig: Rig, tmp_path: Path) -> None:
    file = topology_file(tmp_path)
    runs = [
        subprocess.Popen(
            command(rig, "apply", str(file), "--yes"), stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [each.communicate(timeout=60)[1] for each in runs]
    codes = [each.returncode for each in runs]
    assert 0 in codes
    for code, words in zip(codes, said, strict=True):
        assert code == 0 or "another run holds the lock" in words
    with rig.nic.entered():
        assert pipeline.nothing_to_do(BASE)


def test_destroy_where_there_is_nothing(rig: Rig) -> None:
    before = State.of(rig)
    with rig.nic.entered(), pytest.raises(MissingError, match="there is no topology edge here"):
        run.destroy("edge")
    assert State.of(rig) == before


# --- no bpffs


def without_bpffs(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = f'umount {pins.BPFFS} && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command(rig, *arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_apply_without_bpffs_says_how_to_mount_it(rig: Rig, tmp_path: Path) -> None:
    before = State.of(rig)
    done = without_bpffs(rig, "apply", str(topology_file(tmp_path)), "--yes")
    assert done.returncode == 1
    assert f"no BPF file system at {pins.BPFFS}" in done.stderr
    assert f"mount -t bpf bpf {pins.BPFFS}" in done.stderr
    assert State.of(rig) == before


@pytest.mark.parametrize("verb", ["apply", "plan", "show", "destroy"])
def test_what_is_applied_is_not_taken_for_absent(rig: Rig, tmp_path: Path, verb: str) -> None:
    """The pins are out of sight, the programs run: nothing may be concluded from that."""
    rig.apply(BASE)
    before = State.of(rig)
    flags = ["--yes"] if verb in ("apply", "destroy") else []
    done = without_bpffs(rig, verb, str(topology_file(tmp_path)), *flags)
    assert done.returncode == 1
    assert f"no BPF file system at {pins.BPFFS}" in done.stderr
    assert State.of(rig) == before


def test_without_bpffs_devices_alone_are_made(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(
        "version: 1\nname: edge\ndevices:\n  eth0: {kind: physical}\n"
        "  web0: {kind: macvlan, parent: eth0}\n"
    )
    done = without_bpffs(rig, "apply", str(file), "--yes")
    assert done.returncode == 0, done.stderr


# --- somebody else's program on the root


@pytest.fixture(params=["native", "generic"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["netlink", "bpf_link"])
def theirs(rig: Rig, mode: str, request: pytest.FixtureRequest) -> Iterator[program.Program]:
    with returning(2, program.Flavour.XDP) as loaded, rig.nic.entered():
        ifindex = rig.nic.json("link", "show", "eth0")[0]["ifindex"]
        if request.param == "bpf_link":
            with links.create(loaded.fd, ifindex, links.Hook.XDP, FLAGS[mode]):
                yield loaded
        else:
            with Rtnl() as rtnl:
                rtnl.request(set_xdp(ifindex, loaded.fd, FLAGS[mode]), "attach theirs")
            yield loaded


def attached(rig: Rig) -> dict[str, Any]:
    """The XDP program of the root as ip tells: id and mode."""
    (link,) = rig.nic.json("link", "show", "eth0")
    found = link.get("xdp")
    return {"mode": found["mode"], "id": found["prog"]["id"]} if found else {}


def test_somebody_elses_program_is_named_and_stays(rig: Rig, theirs: program.Program) -> None:
    before = State.of(rig), attached(rig)
    assert before[1]["id"] == theirs.info.id
    topology = load_texts({"topo.yaml": BASE})
    for attempt in (run.plan, run.apply):
        with rig.nic.entered(), pytest.raises(ConflictError, match=rf"eth0 .*{theirs.info.id}\b"):
            attempt(topology)
        assert (State.of(rig), attached(rig)) == before


@pytest.mark.parametrize("wanted", ["native", "generic"])
def test_taken_over_it_is_replaced(rig: Rig, theirs: program.Program, wanted: str) -> None:
    text = BASE.replace("mode: native", f"mode: {wanted}")
    rig.apply(text, take_over=True)
    assert attached(rig)["id"] != theirs.info.id
    with rig.nic.entered():
        assert pipeline.nothing_to_do(text)
    assert rig.show()["eth0"]["xdp"]["mode"] == wanted


@pytest.mark.parametrize("wanted", ["native", "generic"])
def test_taken_over_in_vain_it_is_back(
    rig: Rig, theirs: program.Program, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = State.of(rig), attached(rig)

    def verify(again: object) -> None:
        raise VerifyError("sabotaged")

    monkeypatch.setattr(carry_out, "verify", verify)
    with pytest.raises(ApplyError, match="sabotaged; everything done before was undone"):
        rig.apply(BASE.replace("mode: native", f"mode: {wanted}"), take_over=True)
    assert (State.of(rig), attached(rig)) == before


def test_ours_replaced_by_theirs_is_theirs(rig: Rig) -> None:
    """Somebody took our program off and put theirs there."""
    rig.apply(BASE)
    directory = pins.directory(rig.nic.name, "edge")
    with links.Link(pins.open_pin(directory / "xdp-eth0")) as ours:
        ours.detach()
    with returning(2, program.Flavour.XDP) as loaded, rig.nic.entered(), Rtnl() as rtnl:
        ifindex = rig.nic.json("link", "show", "eth0")[0]["ifindex"]
        rtnl.request(set_xdp(ifindex, loaded.fd, FLAGS["native"]), "attach theirs")
        with pytest.raises(ConflictError, match=str(loaded.info.id)):
            perform(EDITED)
        perform("")
        assert attached(rig)["id"] == loaded.info.id


# --- somebody else's programs at the devices


def test_other_programs_at_a_device_survive(rig: Rig) -> None:
    rig.apply(BASE)
    (web0,) = rig.nic.json("link", "show", "web0")
    index = web0["ifindex"]
    with returning(-1, program.Flavour.TC) as loaded, rig.nic.entered(), Rtnl() as rtnl:
        asked = clsact.add_filter(index, loaded.fd)
        other = asked.replace(
            clsact.HANDLE.to_bytes(4, sys.byteorder), (7).to_bytes(4, sys.byteorder)
        )
        rtnl.request(other, "add their filter")
        with tcx(loaded, index) as link:
            for text in (EDITED, BASE.replace("{policy: web}", "{enabled: false}"), BASE):
                perform(text)
                assert pipeline.nothing_to_do(text)
                assert link.info.ifindex == index
                assert their_filters(rig) == [loaded.info.id]
            perform("")


def tcx(loaded: program.Program, ifindex: int) -> links.Link:
    return links.create(loaded.fd, ifindex, TCX_INGRESS, 0)  # type: ignore[arg-type]


def their_filters(rig: Rig) -> list[int]:
    shown = rig.nic.run("tc", "-j", "filter", "show", "dev", "web0", "ingress").stdout
    found = [one["options"]["prog"] for one in json.loads(shown) if "options" in one]
    return [one["id"] for one in found if one["name"] == "somebody_elses"]


def test_a_program_at_the_roots_own_ingress_survives(rig: Rig) -> None:
    (eth0,) = rig.nic.json("link", "show", "eth0")
    theirs = returning(-1, program.Flavour.TC)
    with theirs, rig.nic.entered(), tcx(theirs, eth0["ifindex"]) as link:
        for text in (BASE, EDITED, ""):
            perform(text)
            assert link.info.ifindex == eth0["ifindex"]


# --- somebody else's pins


def test_pins_that_are_not_ours_stay(rig: Rig) -> None:
    directory = pins.directory(rig.nic.name, "edge")
    theirs = directory / "theirs"
    with maps.create(maps.MapType.ARRAY, 4, 4, 1, "theirs") as made:
        pins.pin(made.fd, theirs)
    try:
        with rig.nic.entered():
            for text in (BASE, EDITED, ""):
                perform(text)
                assert not text or pipeline.nothing_to_do(text)
                assert theirs.exists()
        assert pins.entries(directory) == [theirs]
    finally:
        pins.remove(theirs)
        pins.remove_empty(directory)


@pytest.mark.parametrize("name", ["xdp-eth0", "xdp-gone0", "new-xdp-eth0", "programs-eth0"])
def test_a_pin_of_our_name_that_makes_no_sense_is_swept(rig: Rig, name: str) -> None:
    with maps.create(maps.MapType.PERCPU_ARRAY, 4, 8, 1, "odd") as made:
        pins.pin(made.fd, pins.directory(rig.nic.name, "edge") / name)
    with rig.nic.entered():
        rows = run.plan(load_texts({"topo.yaml": BASE}))[0].actions
        assert ("detach", name) in [(row.op, row.device) for row in rows]
        perform(BASE)
        assert pipeline.nothing_to_do(BASE)
