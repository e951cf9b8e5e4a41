"""The order of steps."""

from __future__ import annotations

from xdpctl.plan.link_operations import DeleteLink
from xdpctl.plan.operation import Action
from xdpctl.plan.steps import Steps


def steps(*keys: tuple[str, str]) -> Steps:
    found = Steps()
    for verb, name in keys:
        found.add(verb, DeleteLink(name))
    return found


def names(found: Steps) -> tuple[list[str], ...]:
    return tuple([str(one.name) for one in part] for part in found.ordered())  # type: ignore[attr-defined]


def test_stages_and_ranks() -> None:
    found = steps(("settle", "s"), ("delete", "d"), ("label", "l"), ("create", "c"))
    assert names(found) == (["c", "l"], [], ["s", "d"])


def test_equal_steps_keep_their_order() -> None:
    found = steps(*(("create", name) for name in "qwertz"))
    assert names(found) == (list("qwertz"), [], [])


def test_what_is_needed_is_pulled_forward_with_all_that_it_needs() -> None:
    found = steps(("create", "c"), ("delete", "d"), ("delete", "e"), ("delete", "f"))
    found.require(("create", "c"), ("delete", "d"), ("delete", "never planned"))
    found.require(("delete", "d"), ("delete", "e"))
    assert names(found) == (["e", "d", "c"], [], ["f"])


def test_two_that_wait_for_each_other_are_done_all_the_same() -> None:
    found = steps(("settle", "a"), ("settle", "b"), ("settle", "c"))
    found.require(("settle", "a"), ("settle", "b"))
    found.require(("settle", "b"), ("settle", "a"))
    found.require(("settle", "c"), ("settle", "b"))
    assert names(found) == ([], [], ["a", "b", "c"])


def test_the_first_step_of_a_device_carries_its_line() -> None:
    found = steps(("delete", "x"), ("create", "x"))
    found.require(("create", "x"), ("delete", "x"))
    found.show("x", Action("replace", "x"))
    before, *_ = found.ordered()
    assert [len(one.actions()) for one in before] == [1, 0]


def test_ports_come_and_go_between_the_two() -> None:
    found = steps(("settle", "s"), ("enslave", "p"), ("release", "r"), ("delete", "d"))
    found.require(("enslave", "p"), ("delete", "d"))
    assert names(found) == ([], ["d", "r", "p"], ["s"])
    found.hasten(("delete", "d"))
    assert names(found) == (["d"], ["r", "p"], ["s"])
