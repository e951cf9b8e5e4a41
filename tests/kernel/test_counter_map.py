"""Frames are counted where user space reads them, in one value or in elements of the map."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from xdpctl.bpf import maps, program
from xdpctl.bpf.asm import R0, R1, R6, R7, R8, Assembler
from xdpctl.bpf.maps import Map
from xdpctl.datapath import counter_map
from xdpctl.datapath.counter_map import CHUNK, Counted, CounterMap, emit_count
from xdpctl.datapath.layout import Counters
from xdpctl.errors import KernelError

pytestmark = pytest.mark.kernel

LAYOUTS = {"whole": (1024, True), "rows": (1024, False), "chunks": (4 * CHUNK, False)}
"""Counters of a row, and whether all rows stand in one value."""


@pytest.fixture(params=LAYOUTS)
def laid_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Map]:
    """A map of counters, small ones and those of kernels that take no large values."""
    total, whole = LAYOUTS[request.param]
    if not whole:
        monkeypatch.setattr(counter_map, "MOST_WHOLE", 0)
    with counter_map.create(total, "counters") as made:
        assert CounterMap.of(made, total).whole == whole
        yield made


def total_of(made: Map) -> int:
    """Counters of a row."""
    return len(counter_map.rows(made)[0]) // counter_map.WORDS


def count(made: Map, block: int, number: int, *, fixed: bool, length: int = 60) -> None:
    """Let a frame count on a counter of a block, whose number stands in the program or in R1."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.mov(R7, length)
    asm.mov(R8, block)
    if not fixed:
        asm.mov(R1, number)
    emit_count(asm, CounterMap.of(made, total_of(made)), number if fixed else None)
    asm.mov(R0, 0)
    asm.exit()
    with program.load(asm.assemble(), program.Flavour.XDP, "count") as loaded:
        loaded.run(bytes(64))


@pytest.mark.parametrize("fixed", [True, False], ids=["known", "in a register"])
def test_a_frame_counts_on_its_counter_and_no_other(laid_out: Map, fixed: bool) -> None:
    last = total_of(laid_out) - 1
    places = {(0, 0): 60, (64, 5): 1514, (last - 3, 3): 9000, (last // 2, 1): 64}
    for (block, number), length in places.items():
        count(laid_out, block, number, fixed=fixed, length=length)
    counted = Counted(laid_out)
    found = {at: counted[at] for at in range(last + 1)}
    assert {at: each for at, each in found.items() if each.packets or each.bytes} == {
        block + number: Counters(1, length) for (block, number), length in places.items()
    }


def test_what_user_space_adds_and_takes_away_is_counted_with_it(laid_out: Map) -> None:
    count(laid_out, 7, 1, fixed=True)
    counter_map.add(laid_out, {8: Counters(10, 1000), 9: Counters(1, 1)})
    count(laid_out, 7, 1, fixed=True)
    counted = Counted(laid_out)
    assert [counted[number] for number in (7, 8, 9)] == [
        Counters(0, 0), Counters(12, 1120), Counters(1, 1),
    ]  # fmt: skip
    counter_map.add(laid_out, {8: Counters(-2, -120)})
    assert Counted(laid_out)[8] == Counters(10, 1000)
    assert counted[8] == Counters(12, 1120), "what was read stays as it was read"


def test_a_kernel_without_room_for_one_value_has_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to KMALLOC_MAX_SIZE on old ones; here the refusal is made up, as this kernel has room."""
    create, asked = maps.create, []

    def refusing(
        kind: maps.MapType, key: int, size: int, elements: int, name: str, *, flags: int
    ) -> Map:
        asked.append(elements)
        if elements == 1:
            raise KernelError("create map", errno.E2BIG)
        return create(kind, key, size, elements, name, flags=flags)

    monkeypatch.setattr(maps, "create", refusing)
    with counter_map.create(1024, "counters") as made:
        assert asked == [1, maps.highest_cpu() + 2]
        count(made, 3, 1, fixed=True)
        assert Counted(made)[4] == Counters(1, 60)


def test_any_other_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object, **__: object) -> Map:
        raise KernelError("create map", errno.ENOMEM)

    monkeypatch.setattr(maps, "create", refusing)
    with pytest.raises(KernelError) as raised:
        counter_map.create(1024, "counters")
    assert raised.value.errno == errno.ENOMEM
