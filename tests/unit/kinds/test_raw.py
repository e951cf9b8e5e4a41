"""Numbers as YAML 1.2 has them."""

from __future__ import annotations

import pytest

from xdpctl.topology.raw import integer


@pytest.mark.parametrize(
    ("raw", "number"),
    [(100, 100), ("100", 100), (" 100 ", 100), ("0x10", 16), ("-1", -1), ("+7", 7), ("007", 7)],
)
def test_numbers(raw: object, number: int) -> None:
    assert integer(raw) == number


@pytest.mark.parametrize("raw", ["1_000", "٣", "1e3", "", "0x", "1.0", True, None, [1], "x"])
def test_not_numbers(raw: object) -> None:
    assert integer(raw) is None
