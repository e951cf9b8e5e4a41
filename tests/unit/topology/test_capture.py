"""Capture files: every byte order and resolution, pcapng's blocks, and files that are broken."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from xdpctl.topology.capture import frames, read

FRAMES = [bytes(range(60)), bytes(range(14)), bytes(61)]


def pcap(order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    head = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(
        struct.pack(order + "IIII", 1, 2, len(one), 1500) + one for one in FRAMES
    )


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def section(order: str, link: int = 1) -> bytes:
    head = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    return block(order, 0x0A0D0D0A, head) + block(order, 1, struct.pack(order + "HHI", link, 0, 0))


def enhanced(order: str, frame: bytes, interface: int = 0) -> bytes:
    head = struct.pack(order + "IIIII", interface, 0, 0, len(frame), 1500)
    return block(order, 6, head + frame)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap(order: str, magic: int) -> None:
    assert list(frames(pcap(order, magic))) == FRAMES


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    """Blocks that nobody asked for (here statistics) are skipped."""
    data = section(order) + block(order, 5, bytes(12)) + enhanced(order, FRAMES[0])
    data += block(order, 3, struct.pack(order + "I", len(FRAMES[1])) + FRAMES[1])
    old = struct.pack(order + "HHIIII", 0, 0, 0, 0, len(FRAMES[2]), 1500)
    assert list(frames(data + block(order, 2, old + FRAMES[2]))) == FRAMES


def test_sections_of_different_byte_orders() -> None:
    data = section("<") + enhanced("<", FRAMES[0]) + section(">") + enhanced(">", FRAMES[1])
    assert list(frames(data)) == FRAMES[:2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is neither pcap nor pcapng"),
        (b"GIF89a", "is neither pcap nor pcapng"),
        (pcap(link=113), "has no Ethernet frames, but link type 113"),
        (section("<", 113) + enhanced("<", FRAMES[0]), "has no Ethernet frames, but link type 113"),
        (pcap()[:-1], "is cut off in the middle of a record"),
        (pcap()[:30], "is cut off in the middle of a record"),
        (pcap()[:10], "is cut off in the middle of a record"),
        (section("<")[:-6], "is cut off in the middle of a record"),
        (section("<") + enhanced("<", FRAMES[0], 1), "an interface that is not described"),
        (section("<") + struct.pack("<II", 6, 0), "a block of 0 bytes"),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), "a section without a byte order"),
    ],
)
def test_what_is_broken(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "some.pcap"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read(str(file))


def test_every_cut_is_told_or_read(tmp_path: Path) -> None:
    """No other error than ValueError, wherever a file ends."""
    file = tmp_path / "some.pcap"
    for whole in (pcap(), section(">") + enhanced(">", FRAMES[0])):
        for end in range(len(whole)):
            file.write_bytes(whole[:end])
            try:
                assert read(str(file)) == FRAMES[: len(read(str(file)))]
            except ValueError:
                continue
