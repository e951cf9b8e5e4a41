"""`plan`, `apply`, `destroy` and `show` as a user or a script meets them, on the kernel."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import SMALL, environment, on_terminal, xdpctl

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.kernel

WITHOUT_MOUNTS = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SUMMARY = {"create", "update", "replace", "delete", "attach", "detach"}


def links(netns: str) -> set[str]:
    """The names of the devices in a namespace."""
    shown = subprocess.run(
        ["ip", "-n", netns, "-j", "link"], check=True, capture_output=True, text=True
    )
    return {link["ifname"] for link in json.loads(shown.stdout)}


def test_plan_apply_plan_destroy_in_exit_codes(netns: str, small: Path) -> None:
    plan = ["--netns", netns, "plan", "--detailed-exitcode", str(small)]
    apply = ["--netns", netns, "apply", "--yes", "--detailed-exitcode", str(small)]
    assert xdpctl(*plan).code == 2
    assert links(netns) == {"lo", "eth0", "wire0"}
    assert xdpctl(*apply).code == 2
    assert links(netns) == {"lo", "eth0", "wire0", "web0"}
    assert xdpctl(*plan).code == 0
    assert xdpctl(*apply).code == 0
    assert xdpctl("--netns", netns, "plan", str(small)).code == 0
    assert xdpctl("--netns", netns, "destroy", str(small)).code == 0
    assert links(netns) == {"lo", "eth0", "wire0"}


def test_plan_as_text(netns: str, small: Path) -> None:
    done = xdpctl("plan", "--netns", netns, str(small))
    assert (done.code, done.err) == (0, "")
    assert "  + create macvlan web0\n" in done.out
    assert "\nPlan: 1 to add, 0 to change, 0 to destroy.\nXDP: " in done.out


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_plan_as_data(netns: str, small: Path, form: str) -> None:
    done = xdpctl("plan", "-o", form, str(small), "--netns", netns)
    document = done.json if form == "json" else YAML(typ="safe").load(done.out)
    assert document["format"] == 1
    assert document["topology"] == "small"
    assert document["changed"] is True
    assert set(document["summary"]) == SUMMARY
    assert document["summary"]["create"] == 1
    [create] = [action for action in document["actions"] if action["op"] == "create"]
    assert create["device"] == "web0"
    assert create["changes"]["mode"] == {"from": None, "to": "bridge"}
    assert set(create) == {"op", "device", "changes", "reason"}


def test_apply_as_data(netns: str, small: Path) -> None:
    first = xdpctl("--netns", netns, "-o", "json", "apply", str(small)).json
    assert (first["applied"], first["changed"], first["summary"]["create"]) == (True, True, 1)
    assert all(seconds >= 0 for seconds in first["seconds"].values())
    second = xdpctl("--netns", netns, "-o", "json", "apply", str(small)).json
    assert (second["changed"], second["actions"]) == (False, [])


def test_apply_as_text(netns: str, small: Path) -> None:
    first = xdpctl("--netns", netns, "apply", str(small))
    assert "Apply complete: 1 added, 0 changed, 0 destroyed, XDP " in first.out
    second = xdpctl("--netns", netns, "apply", str(small))
    assert second.out == "No changes. The host matches topology small.\n"


def test_verbose_tells_each_operation_on_stderr(netns: str, small: Path) -> None:
    db0 = "  db0: {kind: macvlan, parent: eth0, mode: bridge, state: up}\npolicies:"
    small.write_text(SMALL.replace("policies:", db0), "utf-8")
    done = xdpctl("--netns", netns, "apply", "-v", str(small))
    told = done.err.splitlines()
    for device in ("web0", "db0"):  # both in one batch
        assert f"create macvlan {device} on eth0" in told
        assert f"set state up of {device}" in told


def test_show(netns: str, small: Path) -> None:
    nothing = xdpctl("--netns", netns, "-o", "json", "show")
    assert nothing.json == {"format": 1, "topology": None, "devices": {}, "drift": []}
    xdpctl("--netns", netns, "apply", str(small))
    for arguments in ([], ["small"], [str(small)]):
        document = xdpctl("--netns", netns, "-o", "json", "show", *arguments).json
        assert (document["format"], document["topology"]) == (1, "small")
        web = document["devices"]["web0"]
        assert (web["kind"], web["parent"], web["state"]) == ("macvlan", "eth0", "up")
        assert (web["xdp"]["mode"], web["xdp"]["policy"]) == ("dispatched", "web")
        assert web["xdp"]["rules"][0]["name"] == "https"
        assert set(web["xdp"]["verdicts"]) == {"pass", "drop", "tx", "redirect"}
        assert document["devices"]["eth0"]["xdp"]["mode"] == "native"
    text = xdpctl("--netns", netns, "show").out
    assert "└─ web0" in text
    assert "https" in text


def test_show_of_an_unknown_topology_says_the_nearest(netns: str, small: Path) -> None:
    xdpctl("--netns", netns, "apply", str(small))
    done = xdpctl("--netns", netns, "show", "smal")
    assert (done.code, done.out) == (1, "")
    assert "small" in done.err


@pytest.mark.parametrize("first", [True, False])
def test_an_unknown_namespace_says_the_nearest(netns: str, small: Path, first: bool) -> None:
    option = ["--netns", netns[:-1]]
    done = xdpctl(*option * first, "plan", str(small), *option * (not first))
    assert (done.code, done.out) == (1, "")
    assert netns in done.err


def test_destroy_of_a_file_twice_is_fine_and_of_a_wrong_name_is_not(
    netns: str, small: Path
) -> None:
    xdpctl("--netns", netns, "apply", str(small))
    assert xdpctl("--netns", netns, "destroy", "smal").code == 1
    assert "web0" in links(netns)
    assert xdpctl("--netns", netns, "destroy", "small").code == 0
    assert xdpctl("--netns", netns, "destroy", str(small)).code == 0


def test_destroy_with_nothing_left_says_so(netns: str, small: Path) -> None:
    done = xdpctl("--netns", netns, "destroy", str(small))
    assert (done.code, done.out) == (0, "Nothing to destroy: topology small owns nothing here.\n")
    assert xdpctl("--netns", netns, "-o", "json", "destroy", str(small)).json["changed"] is False


def test_a_name_is_a_name_beside_a_directory_of_that_name(
    netns: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    Path("small").mkdir()
    xdpctl("--netns", netns, "apply", "small.yaml")
    assert xdpctl("--netns", netns, "-o", "json", "show", "small").json["topology"] == "small"
    small.rename("small/other.yaml")
    text = Path("small/other.yaml").read_text("utf-8")
    Path("small/other.yaml").write_text(text.replace("name: small", "name: other"), "utf-8")
    assert xdpctl("--netns", netns, "-o", "json", "show", "small").json["topology"] == "other"
    Path("small/other.yaml").unlink()
    assert xdpctl("--netns", netns, "destroy", "small").code == 0
    assert "web0" not in links(netns)


def test_show_lists_several_topologies(netns: str, small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(SMALL.replace("name: small", "name: other").replace("web0", "web1")
                     .replace("00:10", "00:11").replace("eth0", "wire0"), "utf-8")  # fmt: skip
    for file in (small, other):
        assert xdpctl("--netns", netns, "apply", str(file)).code == 0
    done = xdpctl("--netns", netns, "show")
    assert (done.code, done.out) == (0, "other\nsmall\n")
    assert "xdpctl show NAME" in done.err
    listed = xdpctl("--netns", netns, "-o", "json", "show")
    assert (listed.code, listed.err) == (0, "")
    assert listed.json == {"format": 1, "topologies": ["other", "small"]}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1)])
def test_apply_asks_on_a_terminal(netns: str, small: Path, answer: str, code: int) -> None:
    done = on_terminal("--netns", netns, "apply", str(small), answer=answer)
    assert done.code == code
    assert "Shall xdpctl apply this? [y/N]" in done.out
    assert ("web0" in links(netns)) is (code == 0)
    assert ("Nothing was changed" in done.out) is (code == 1)


def test_apply_does_not_ask_when_told_yes_or_when_nothing_changes(netns: str, small: Path) -> None:
    for options in (["--yes"], []):
        done = on_terminal("--netns", netns, "apply", *options, str(small))
        assert done.code == 0
        assert "Shall" not in done.out


def test_a_saved_plan_does_what_it_says(netns: str, small: Path, tmp_path: Path) -> None:
    saved = tmp_path / "small.plan"
    done = xdpctl("--netns", netns, "plan", "--out", str(saved), str(small))
    assert done.code == 0
    assert str(saved) in done.err
    small.unlink()
    assert xdpctl("--netns", netns, "apply", str(saved)).code == 0
    assert "web0" in links(netns)


def test_a_saved_plan_is_refused_when_the_host_has_changed(
    netns: str, small: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "small.plan"
    xdpctl("--netns", netns, "plan", "--out", str(saved), str(small))
    subprocess.run(
        [
            "ip",
            "-n",
            netns,
            *["link", "add", "web0", "link", "eth0", "type", "macvlan", "mode", "bridge"],
        ],
        check=True,
    )
    done = xdpctl("--netns", netns, "apply", str(saved))
    assert (done.code, done.out) == (1, "")
    assert "web0" in done.err


def test_a_saved_plan_is_for_apply_alone(netns: str, small: Path, tmp_path: Path) -> None:
    saved = tmp_path / "small.plan"
    xdpctl("--netns", netns, "plan", "--out", str(saved), str(small))
    for arguments in (
        ["apply", str(saved), str(small)],
        ["apply", str(small), str(saved)],
        *([command, str(saved)] for command in ("plan", "validate", "test", "show", "destroy")),
    ):
        done = xdpctl("--netns", netns, *arguments)
        assert (done.code, done.out) == (64, "")
        told = f"error: {saved} is a saved plan; only apply takes it, and alone\n"
        assert done.err.startswith(told)
    assert links(netns) == {"lo", "eth0", "wire0"}


def test_a_saved_plan_is_refused_in_another_namespace(
    netns: str, small: Path, tmp_path: Path
) -> None:
    saved, other = tmp_path / "small.plan", f"{netns}-other"
    xdpctl("--netns", netns, "plan", "--out", str(saved), str(small))
    subprocess.run(["ip", "netns", "add", other], check=True)
    try:
        done = xdpctl("--netns", other, "apply", str(saved))
    finally:
        subprocess.run(["ip", "netns", "delete", other], check=True)
    assert (done.code, done.out) == (1, "")
    told = f"error: the plan was made in network namespace {netns}, and this is {other}\n"
    assert done.err.startswith(told)


def test_a_wrong_file_leaves_stdout_empty_and_the_host_alone(netns: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(SMALL.replace("mode: bridge", "mode: brigde"))
    done = xdpctl("--netns", netns, "-o", "json", "apply", str(file))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"{file}:8:")
    assert links(netns) == {"lo", "eth0", "wire0"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "-"],
        ["destroy", "small"],
        ["plan", "-", "--netns"],
        ["show", "small", "--netns"],
        ["show", "--netns"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_without_the_right_it_exits_77(netns: str, arguments: list[str]) -> None:
    if arguments[-1] == "--netns":
        arguments = [*arguments, netns]
    done = xdpctl(*arguments, stdin=SMALL, prefix=NOBODY, PYTHONDONTWRITEBYTECODE="1")
    assert (done.code, done.out) == (77, "")
    assert "Traceback" not in done.err


def test_the_demo_of_a_root_without_rights_exits_77() -> None:
    done = xdpctl("demo", prefix=WITHOUT_MOUNTS)
    assert (done.code, done.out) == (77, "")
    assert "not permitted" in done.err.lower() or "denied" in done.err.lower()


def test_a_reader_who_leaves_is_no_error_of_ours(netns: str, tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(
        SMALL.replace("web0:", "web[1-400]:").replace(
            'address: "02:00:00:00:00:10"', 'address: {base: "02:00:00:01:00:00"}'
        )
    )
    command = [sys.executable, "-m", "xdpctl", "--netns", netns, "plan", str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        complaint = process.stderr.read().decode()
    assert (complaint, process.returncode) == ("", 141)


def test_interrupted_while_asking_it_leaves_the_host_alone(netns: str, small: Path) -> None:
    done = on_terminal("--netns", netns, "apply", str(small), answer="\x03")
    assert done.code == 130
    assert links(netns) == {"lo", "eth0", "wire0"}
    assert "Traceback" not in done.out
    assert done.code == signal.SIGINT + 128
