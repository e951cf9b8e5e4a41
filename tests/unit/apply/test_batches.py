"""Which operations go to the kernel together."""

from __future__ import annotations

from typing import cast

from xdpctl.apply.links import BATCH, LinkPerformer
from xdpctl.apply.performer import Performers
from xdpctl.host.rtnl import Rtnl
from xdpctl.plan.link_operations import ChangeLink, CreateLink, DeleteLink
from xdpctl.plan.operation import Difference, Operation
from xdpctl.topology.model import Device, Location

LINKS = LinkPerformer(cast("Rtnl", object()))
PERFORMERS = Performers(dict.fromkeys(LinkPerformer.TYPES, LINKS))


def create(name: str, parent: str = "eth0", kind: str = "macvlan") -> Operation:
    return CreateLink(name, Device(name, kind, Location("t", 1, 1), parent=parent), 7)


def change(name: str, state: str = "up", kind: str = "macvlan") -> Operation:
    return ChangeLink(name, kind, {"state": Difference(None, state)})


def cut(*operations: Operation) -> list[list[str]]:
    chunks = PERFORMERS.chunks(operations)
    assert [one for chunk in chunks for one in chunk] == [*operations]
    return [[getattr(one, "name", "") for one in chunk] for chunk in chunks]


def test_of_one_type_together() -> None:
    operations = [create("a"), create("b"), change("a"), change("b"), DeleteLink("c", ())]
    assert cut(*operations) == [["a", "b"], ["a", "b"], ["c"]]


def test_what_stands_on_one_of_the_batch_waits() -> None:
    assert cut(create("a"), create("b", "a"), create("c", "a")) == [["a"], ["b", "c"]]


def test_two_of_one_device_apart() -> None:
    assert cut(change("a"), change("b"), change("a", "down")) == [["a", "b"], ["a"]]


def test_a_tap_alone() -> None:
    assert cut(create("a"), create("t", kind="tap"), create("b")) == [["a"], ["t"], ["b"]]


def test_no_more_than_a_batch() -> None:
    found = cut(*[change(f"a{number}") for number in range(2 * BATCH + 1)])
    assert [len(chunk) for chunk in found] == [BATCH, BATCH, 1]


def test_nothing() -> None:
    assert cut() == []
