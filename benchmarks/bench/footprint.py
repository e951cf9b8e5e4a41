"""The memory of the kernel that a topology's maps and programs take."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from xdpctl.bpf import maps, objects, pins, program
from xdpctl.bpf.links import Link
from xdpctl.bpf.maps import Map, MapType
from xdpctl.bpf.program import Program


class Footprint:
    """All maps and programs that the pins of a topology lead to, each once."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[str, int], int] = {}

    def of(self, name: str, topology: str) -> int:
        """Their memory in bytes, as the kernel charges for it (memlock)."""
        for pin in _files(pins.directory(name, topology)):
            fd = pins.open_pin(pin)
            kind = pins.kind(fd)
            if kind == "map":
                self._map(Map(fd))
            elif kind == "prog":
                self._program(Program(fd))
            else:
                with Link(fd) as link:
                    number = link.info.program_id
                if number:
                    self._program(program.open_id(number))
        return sum(self._bytes.values())

    def _program(self, opened: Program) -> None:
        with opened:
            if self._is_new("program", opened.info.id, opened):
                for number in opened.info.map_ids:
                    self._map(maps.open_id(number))

    def _map(self, opened: Map) -> None:
        with opened:
            if not self._is_new("map", opened.info.id, opened):
                return
            if opened.info.type not in (MapType.PROG_ARRAY, MapType.ARRAY_OF_MAPS):
                return
            members = opened.keys()
            for key in members:
                value = opened.lookup(key)
                number = int.from_bytes(value or b"", sys.byteorder)
                if number and opened.info.type == MapType.PROG_ARRAY:
                    self._program(program.open_id(number))
                elif number:
                    self._map(maps.open_id(number))

    def _is_new(self, kind: str, number: int, opened: objects.Object) -> bool:
        if (kind, number) in self._bytes:
            return False
        text = Path(f"/proc/self/fdinfo/{opened.fd}").read_text("ascii")
        found = re.search(r"^memlock:\s+(\d+)$", text, re.MULTILINE)
        self._bytes[kind, number] = int(found[1]) if found else 0
        return True


def _files(where: Path) -> Iterator[Path]:
    yield from (each for each in where.rglob("*") if not each.is_dir())
