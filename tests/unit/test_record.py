"""A record does all that a frozen dataclass with slots does, but refuse to be written to."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field, replace

import pytest

from xdpctl.record import record


@record
class Link:
    name: str
    mtu: int = 1500
    seen: int = field(default=0, compare=False, repr=False)
    addresses: tuple[str, ...] = field(default=(), kw_only=True)


@record
class Port(Link):
    bond: str = ""


@record
class Single:
    value: int


@record
class Own:
    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "own"


@dataclass(frozen=True, slots=True)
class Expected:
    name: str
    mtu: int = 1500
    seen: int = field(default=0, compare=False, repr=False)
    addresses: tuple[str, ...] = field(default=(), kw_only=True)


@pytest.mark.parametrize(
    "one", [{"name": "a"}, {"name": "b", "mtu": 9000, "seen": 7, "addresses": ("x",)}]
)
def test_it_reads_like_a_dataclass(one: dict[str, object]) -> None:
    assert repr(Link(**one)) == repr(Expected(**one)).replace("Expected", "Link")  # type: ignore[arg-type]


def test_it_is_equal_by_its_compared_fields_and_its_very_class() -> None:
    assert Link("a", seen=1) == Link("a", seen=2)
    assert hash(Link("a", seen=1)) == hash(Link("a", seen=2))
    assert Link("a") != Link("a", mtu=9000)
    assert Link("a") != Port("a")
    assert Port("a", bond="x") != Port("a")
    assert Single(1) == Single(1)
    assert Single(1) != Single(2)
    other: object = 1
    assert Single(1) != other
    assert {Single(1), Single(1), Single(2)} == {Single(1), Single(2)}


def test_what_the_class_writes_itself_stays() -> None:
    assert Own(1) == Own(2)
    assert hash(Own(3)) == 1
    assert repr(Own(1)) == "own"


def test_it_is_replaced_copied_and_pickled() -> None:
    port = Port("a", 9000, bond="b", addresses=("x",))
    assert replace(port, bond="c") == Port("a", 9000, bond="c", addresses=("x",))
    assert copy.deepcopy(port) == port
    assert pickle.loads(pickle.dumps(port)) == port


def test_it_has_slots() -> None:
    with pytest.raises(AttributeError):
        object.__setattr__(Link("a"), "other", 1)
