"""Tests of a file as they are read: where captures are, and which frame of them is meant."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology.load import load
from xdpctl.topology.model import Topology

FRAMES = [bytes([number]) * size for number, size in enumerate((60, 13, 61))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a capture of three frames, the second of which is too short."""
    head = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = [struct.pack("<IIII", 0, 0, len(one), len(one)) + one for one in FRAMES]
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "some.pcap").write_bytes(head + b"".join(records))
    return tmp_path


def loaded(folder: Path, packet: str, *, captures: bool = True) -> Topology:
    file = folder / "t.yaml"
    file.write_text(
        "version: 1\nname: t\ndevices: {eth0: {kind: physical}}\n"
        f"tests: [{{packet: {{{packet}}}, expect: {{verdict: pass}}}}]\n"
    )
    return load([str(file)], captures=captures)


@pytest.mark.parametrize(("index", "number"), [("", 0), (", index: 0", 0), (", index: 2", 2)])
def test_the_frame_of_a_capture_beside_the_file(folder: Path, index: str, number: int) -> None:
    [case] = loaded(folder, "pcap: captures/some.pcap" + index).tests
    assert case.packet.frame == FRAMES[number]
    assert case.packet.root == "eth0"


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        ("pcap: captures/some.pcap, index: 3",
         "4:52: index 3: captures/some.pcap has 3 frames, numbered from 0"),
        ("pcap: captures/some.pcap, index: 1",
         "4:25: frame 1 of captures/some.pcap has 13 bytes, not 14-16000"),
        ("pcap: some.pcap", "4:25: pcap some.pcap cannot be read: No such file or directory"),
        ("pcap: t.yaml", "4:25: pcap t.yaml is neither pcap nor pcapng"),
    ],
)  # fmt: skip
def test_a_capture_without_that_frame(folder: Path, packet: str, message: str) -> None:
    with pytest.raises(TopologyError) as error:
        loaded(folder, packet)
    assert str(error.value) == f"{folder}/t.yaml:{message}"
    assert loaded(folder, packet, captures=False).tests[0].packet.frame is None
