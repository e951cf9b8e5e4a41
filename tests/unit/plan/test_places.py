"""Devices in other namespaces: where each step of a plan is performed, and what is written down."""

from __future__ import annotations

import pytest

from xdpctl.errors import MissingError, UnsupportedError
from xdpctl.host.links import label
from xdpctl.host.state import AWAY, Away, Host, Link, Places
from xdpctl.plan import links, places
from xdpctl.plan.link_operations import CreateLink, DeleteLink, LinkOperation, MoveLink
from xdpctl.plan.operation import Operation
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology, Value

NIC = Link(2, "eth0", "", {"state": "up", "mtu": 1500, "address": "02:00:00:00:00:01"})


def topology(*lines: str) -> Topology:
    text = "version: 1\nname: edge\ndevices:\n  eth0: {kind: physical}\n"
    return load_texts({"t.yaml": text + "".join(f"  {line}\n" for line in lines)})


def web(netns: str, number: int = 7, state: str = "up") -> Link:
    """web0 as it is found: in a namespace, or ("") in here."""
    found: dict[str, Value] = {"state": state, "mtu": 1500, "mode": "bridge"}
    found["address"] = "02:00:00:00:00:10"
    away = Away(netns, 2) if netns else None
    index = AWAY | number if netns else number
    return Link(index, "web0", "macvlan", found, lower=2, alias=label("edge"), away=away)


def host(*found: Link, named: dict[str, str] | None = None, recorded: str = "") -> Host:
    known = Places("edge", named or {}, frozenset(recorded.split()))
    return Host("here", (NIC, *found), known)


def line(netns: str = "") -> str:
    where = f", netns: {netns}" if netns else ""
    return (
        "web0: {kind: macvlan, parent: eth0, mode: bridge, state: up, "
        f'address: "02:00:00:00:00:10"{where}}}'
    )


def steps(wanted: Topology, live: Host) -> list[LinkOperation]:
    changes = links.diff(wanted, live)
    every: tuple[Operation, ...] = (*changes.before, *changes.members, *changes.after)
    return [one for one in every if isinstance(one, LinkOperation)]


def spelled(found: list[LinkOperation]) -> list[tuple[str, str]]:
    return [(type(one).__name__, one.netns) for one in found]


def test_what_is_created_elsewhere_is_changed_there() -> None:
    found = steps(topology(line("ct1")), host(named={"web0": "ct1"}))
    assert spelled(found) == [("CreateLink", "ct1"), ("ChangeLink", "ct1"), ("ChangeLink", "ct1")]
    create = found[0]
    assert isinstance(create, CreateLink)
    assert create.below == ""
    assert [type(one).__name__ for one in create.reverse()] == ["DeleteLink"]
    assert all(isinstance(one, DeleteLink) and one.netns == "ct1" for one in create.reverse())


@pytest.mark.parametrize(("here", "there"), [("", "ct1"), ("ct1", "ct2"), ("ct1", "")])
def test_a_device_is_down_while_it_moves_and_is_raised_where_it_is(here: str, there: str) -> None:
    live = host(web(here), named={"web0": there} if there else {}, recorded="ct1")
    found = steps(topology(line(there)), live)
    down, move, up = found
    assert spelled(found) == [("ChangeLink", here), ("MoveLink", here), ("ChangeLink", there)]
    assert isinstance(move, MoveLink)
    assert (move.after, move.home) == (there, 2 if here else 7)
    back, addresses = move.reverse()
    assert isinstance(back, MoveLink)
    assert (back.netns, back.after, back.ifindex) == (there, here, move.home)
    assert isinstance(addresses, LinkOperation)
    assert addresses.netns == here
    assert down.summary() == "set state down of web0"
    assert up.summary() == "set state up of web0"


def test_a_deletion_leads_back_to_where_the_device_was() -> None:
    (delete,) = steps(topology(), host(web("ct1"), recorded="ct1"))
    assert isinstance(delete, DeleteLink)
    assert delete.netns == "ct1"
    create = delete.restore[0]
    assert isinstance(create, CreateLink)
    assert (create.device.netns, create.ifindex) == ("ct1", 0)
    assert {one.netns for one in delete.restore if isinstance(one, LinkOperation)} == {"ct1"}


def test_a_device_in_its_place_is_left_alone() -> None:
    assert not steps(topology(line("ct1")), host(web("ct1"), named={"web0": "ct1"}))


@pytest.mark.parametrize(
    ("recorded", "wanted", "first", "last"),
    [
        ("", "", None, None),
        ("", "a", "a", None),
        ("a", "a", None, None),
        ("a", "b", "a b", "b"),
        ("a b", "b", None, "b"),
        ("a", "", None, ""),
    ],
)
def test_namespaces_are_written_down_before_and_struck_out_after(
    recorded: str, wanted: str, first: str | None, last: str | None
) -> None:
    before, after = places.recording(host(recorded=recorded), wanted.split())
    for steps_, expected in ((before, first), (after, last)):
        known = [one.after for one in steps_ if isinstance(one, places.RecordNamespaces)]
        assert known == ([] if expected is None else [frozenset(expected.split())])


def test_a_missing_namespace_and_the_topologys_own() -> None:
    wanted = topology(line("ct1"))
    places.check(wanted, ["ct1"], lambda name: False)
    with pytest.raises(MissingError, match=r"t.yaml:5:3: .*no network namespace ct1 \(did you m"):
        places.check(wanted, ["ct2"], lambda name: False)
    with pytest.raises(UnsupportedError, match="the topology itself is in network namespace ct1"):
        places.check(wanted, ["ct1"], lambda name: True)
