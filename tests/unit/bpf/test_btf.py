"""BTF of programs of several functions: each has a record, and a line at its start."""

from __future__ import annotations

from xdpctl.bpf.btf import FUNC_INFO, LINE_INFO, Debug, describe
from xdpctl.topology.model import Location

TEXT = {"edge.yaml": "version: 1\n  rules: all\n"}


def strings(debug: Debug, at: int) -> str:
    start = int.from_bytes(debug.btf[16:20], "little") + 24 + at
    return debug.btf[start : debug.btf.index(b"\0", start)].decode()


def lines(debug: Debug) -> list[tuple[int, str, str, int]]:
    return [
        (at, strings(debug, file), strings(debug, text), place >> 10)
        for at, file, text, place in LINE_INFO.iter_unpack(debug.lines)
    ]


def test_a_program_of_one_function() -> None:
    debug = describe("main", [(0, Location("edge.yaml", 1, 1)), (4, Location("edge.yaml", 2, 3))],
                     TEXT)  # fmt: skip
    assert lines(debug) == [(0, "main", "main", 0), (4, "edge.yaml", "rules: all", 2)]
    assert debug.function == FUNC_INFO.pack(0, 3)


def test_every_further_function_has_a_record_and_a_line() -> None:
    places = [(4, Location("edge.yaml", 2, 3)), (9, Location("a.c", 7, 1))]
    debug = describe("main", places, TEXT, [(6, "first"), (9, "second"), (12, "third.part")])
    assert lines(debug) == [
        (0, "main", "main", 0),
        (4, "edge.yaml", "rules: all", 2),
        (6, "first", "first", 0),
        (9, "a.c", "", 7),
        (12, "third_part", "third_part", 0),
    ]
    records = list(FUNC_INFO.iter_unpack(debug.function))
    assert records == [(0, 3), (6, 4), (9, 5), (12, 6)]
