"""Reading files."""

import io
import os
from pathlib import Path

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology import source
from xdpctl.topology.load import load, load_texts

GOOD = b"version: 1\nname: t\ndevices: {eth0: {kind: physical}}\n"


def told(*paths: object) -> str:
    with pytest.raises(TopologyError) as error:
        load([str(path) for path in paths])
    return str(error.value)


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    assert told(path) == f"{path}:1:1: cannot be read: No such file or directory"


def test_nothing_given() -> None:
    assert "no topology file is given" in told()


def test_a_name_with_nul() -> None:
    assert "cannot be read: embedded null byte" in told("a\0b")


def test_a_directory_without_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert told(tmp_path) == f"{tmp_path}:1:1: no *.yaml or *.yml in this directory"


def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.symlink_to(path)
    assert told(path).startswith(f"{path}:1:1: cannot be read: Too many levels")


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as stream:
        stream.truncate(50_000_000)
    assert told(path) == f"{path}:1:1: the file is larger than 8 MiB, the limit"


def test_endless() -> None:
    assert told("/dev/zero") == "/dev/zero:1:1: the file is larger than 8 MiB, the limit"


def test_as_large_as_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1000)
    path = tmp_path / "t.yaml"
    path.write_bytes(GOOD + b"#" * (source.MAX_BYTES - len(GOOD)))
    assert load([str(path)]).name == "t"
    path.write_bytes(path.read_bytes() + b"#")
    assert "larger than" in told(path)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"a: 1\nb: \xff\n", "2:4: byte 0xff is not UTF-8"),
        ("ä: ".encode() + b"\xc3\n", "1:4: byte 0xc3 is not UTF-8"),
        ("a: 1".encode("utf-16"), "1:1: the file is UTF-16: write it as UTF-8"),
        (b"a: \xed\xa0\x80", "1:4: byte 0xed is not UTF-8"),
    ],
)
def test_not_utf8(tmp_path: Path, raw: bytes, place: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(raw)
    assert told(path) == f"{path}:{place}"


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD)
    found = load([str(path)])
    assert found.devices["eth0"].location.column == 11
    assert found.sources == {str(path): GOOD.decode()}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(GOOD)

    monkeypatch.setattr("sys.stdin", Stdin())
    found = load(["-"])
    assert found.devices["eth0"].location.file == "<stdin>"
    assert list(found.sources) == ["<stdin>"]


def test_directory_and_files_are_one_topology(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text("policies: {p: {}}\n")
    (tmp_path / "a.yaml").write_bytes(GOOD)
    (tmp_path / ".hidden.yaml").write_text("x")
    (tmp_path / "c.txt").write_text("x")
    other = tmp_path / "more"
    other.mkdir()
    (other / "c.yaml").write_text("devices: {eth1: {kind: physical, xdp: {policy: p}}}\n")
    found = load([str(tmp_path), str(other / "c.yaml")])
    assert list(found.devices) == ["eth0", "eth1"]
    assert list(found.policies) == ["p"]
    names = [tmp_path / "a.yaml", tmp_path / "b.yml", other / "c.yaml"]
    assert list(found.sources) == [str(name) for name in names]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(GOOD)
    assert len(load([str(path), str(tmp_path), os.path.join(tmp_path, ".", "t.yaml")]).sources) == 1


def test_texts() -> None:
    found = load_texts({"saved": GOOD.decode()})
    assert str(found.devices["eth0"].location) == "saved:3:11"
    assert found.sources == {"saved": GOOD.decode()}
    assert found == load_texts(found.sources)


def test_a_broken_file_does_not_make_names_of_others_unknown() -> None:
    texts = {
        "a": "version: 1\nname: t\ndevices: {m: {kind: macvlan, parent: e, xdp: {policy: p}}}\n",
        "b": "devices: [\n",
    }
    with pytest.raises(TopologyError) as error:
        load_texts(texts)
    assert [problem.file for problem in error.value.problems] == ["b"]
