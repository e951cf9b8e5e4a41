"""Devices that frames are redirected into, with policies that stand in parts: programs of users,
and more rules than one program has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.inside import pipeline
from tests.kernel.rig import BROADCAST, STRANGER, Rig, pins, rules, verdicts
from tests.kernel.test_switch import (
    BOX,
    OTHER,
    TEXT,
    VM,
    Boxes,
    connected,
    test_a_rule_that_logs_leaves_both_policies_in_force,
    test_siblings_meet_both_policies_once,
    test_what_comes_from_them_goes_out_of_the_root,
)
from tests.kernel.test_user_programs import ONLY_9000, RENAMES_TO, Write, seen, write
from xdpctl.datapath import bodies

__all__ = [  # run here once more, with the `boxes` of this file
    "test_a_rule_that_logs_leaves_both_policies_in_force",
    "test_siblings_meet_both_policies_once",
    "test_what_comes_from_them_goes_out_of_the_root",
    "write",
]

pytestmark = pytest.mark.kernel

MINE = TEXT.replace(
    "  web: {default: drop, rules: [{name: only, match: {udp.dport: 9000}, action: pass}]}\n",
    "  web: {object: mine.o}\n",
)
LEAVING = TEXT.replace(
    "  out: {default: pass, rules: [{name: no mail, match: {udp.dport: 25}, action: drop}]}\n",
    "  out: {object: mine.o}\n",
)
BOTH = LEAVING.replace("{policy: web}", "{policy: out, egress: out}")


Connect = Callable[[str], Boxes]


@pytest.fixture
def connect(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Connect]:
    opened: list[Iterator[Boxes]] = []

    def applied(text: str) -> Boxes:
        rig.apply(text)
        opened.append(connected(rig, netnses))
        return next(opened[-1])

    yield applied
    for each in opened:
        next(each, None)


@pytest.fixture
def boxes(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Boxes:
    """Each policy is a part of its own."""
    monkeypatch.setattr(bodies, "ROOM", 8)
    return connect(TEXT)


def leaving(boxes: Boxes, device: str) -> dict[str, int]:
    """Verdicts of a device's egress policy."""
    return verdicts({"xdp": boxes.rig.show()[device]["xdp"]["egress"]})


def test_a_users_program_meets_what_goes_to_the_device(connect: Connect, write: Write) -> None:
    """From the wire, from siblings after their own egress policy, and clones: each frame once."""
    boxes = connect(write(ONLY_9000, MINE))
    before = seen(boxes.rig, "web")
    for port in (9000, 9001, 25):
        boxes.send("wire", VM, port, count=2)
        boxes.send("c0", VM, port, count=3, source=BOX)
        boxes.send("c1", VM, port, count=4, source=OTHER)
        boxes.send("wire", BROADCAST, port, count=5)
    found = boxes.arrived()
    assert found["vm0"] == {9000: 2 + 3 + 4 + 5}
    assert verdicts(boxes.rig.show()["vm0"]) == {"pass": 14, "drop": 2 * (2 + 4 + 5) + 3}
    assert leaving(boxes, "c0") == {"pass": 6, "drop": 3}
    assert seen(boxes.rig, "web") - before == 14 + 25


def test_a_users_program_meets_what_comes_from_the_device(connect: Connect, write: Write) -> None:
    """And what it passes goes out, to the sibling's own rules, or to all of a group."""
    boxes = connect(write(ONLY_9000, LEAVING))
    for port in (9000, 9001):
        boxes.send("c0", STRANGER, port, count=2, source=BOX)
        boxes.send("c0", VM, port, count=3, source=BOX)
        boxes.send("c0", BROADCAST, port, count=4, source=BOX)
    assert boxes.arrived() == {
        "wire": {9000: 2 + 4}, "vm0": {9000: 3 + 4}, "c1": {9000: 4}
    }  # fmt: skip
    assert leaving(boxes, "c0") == {"pass": 9, "drop": 9}
    assert rules(boxes.rig.show()["vm0"]) == {"only": 7, "default": 0}


def test_one_program_in_both_directions(connect: Connect, write: Write) -> None:
    """A frame from a device to its sibling runs it twice, once for each, counted apart."""
    boxes = connect(write(ONLY_9000, BOTH))
    before = seen(boxes.rig, "out")
    for port in (9000, 9001):
        boxes.send("c0", VM, port, count=3, source=BOX)
        boxes.send("vm0", OTHER, port, count=2, source=VM)
        boxes.send("vm0", BOX, port, source=VM)
    assert boxes.arrived() == {"vm0": {9000: 3}, "c1": {9000: 2}}
    assert (leaving(boxes, "c0"), leaving(boxes, "vm0")) == (
        {"pass": 3, "drop": 3}, {"pass": 7, "drop": 7}
    )  # fmt: skip
    shown = boxes.rig.show()
    assert verdicts(shown["vm0"]) == {"pass": 3}
    assert rules(shown["c0"]) == {"not": 5, "default": 0}
    assert seen(boxes.rig, "out") - before == 2 * 3 + 3 + 2 * 2 + 2 * 5


def test_a_program_that_changes_the_address_decides_whose_frame_it_is(
    connect: Connect, write: Write
) -> None:
    changed = RENAMES_TO.replace("0x10", "0x22").replace("0x11", "0x20")
    boxes = connect(write(changed, LEAVING))
    boxes.send("c0", OTHER, 9000, source=BOX)
    boxes.send("c0", OTHER, 9001, source=BOX)
    assert boxes.arrived() == {"vm0": {9000: 5}}
    assert verdicts(boxes.rig.show()["vm0"]) == {"pass": 5, "drop": 5}


def test_programs_come_go_and_leave_nothing(connect: Connect, write: Write, rig: Rig) -> None:
    boxes = connect(TEXT)
    whole = set(pins(rig.nic))
    boxes.send("c0", STRANGER, 9000, source=BOX)
    assert leaving(boxes, "c0") == {"pass": 5}
    rig.apply(write(ONLY_9000, LEAVING))
    boxes.send("c0", STRANGER, 9001, source=BOX)
    boxes.send("c0", STRANGER, 9000, count=4, source=BOX)
    assert len([name for name in pins(rig.nic) if "parts-" in name]) == 2
    assert rig.apply(write(ONLY_9000, LEAVING)).applied is False
    assert boxes.arrived() == {"wire": {9000: 5 + 4}}
    rig.apply(TEXT)
    boxes.send("c0", STRANGER, 9001, source=BOX)
    assert boxes.arrived() == {"wire": {9001: 5}}
    assert set(pins(rig.nic)) == whole


def many(count: int) -> str:
    """So many policies of different shape that one program has no room for them: one each for a
    tap, in both directions.
    """
    keys = ("tcp.dport", "tcp.sport", "udp.dport", "udp.sport", "sctp.dport", "ip4.ttl")
    devices, policies = [], []
    for number in range(count):
        listed = [
            f"{{name: r{rule}, match: {{{keys[(number >> rule) % 2 + rule % 5]}: "
            f"{sorted({1 + rule + each * 7 for each in range(30)})}, "
            f"meta.length: {900 + rule}-{2000 + number}}}, action: drop}}"
            for rule in range(10)
        ]
        policies.append(f"  p{number}: {{default: pass, rules: [{', '.join(listed)}]}}")
        devices.append(
            f"  t{number}: {{kind: tap, parent: eth0, deliver: redirect, state: up, "
            f'address: "02:00:00:00:01:{number:02x}", '
            f"xdp: {{policy: p{number}, egress: p{number}}}}}"
        )
    head, tail = TEXT.split("policies:\n")
    return "\n".join([head.rstrip(), *devices, "policies:", *policies, tail])


def test_policies_that_one_program_has_no_room_for(connect: Connect) -> None:
    boxes = connect(many(48))
    parts = pipeline(boxes.rig).parts
    assert len(parts) == 3, "the pipeline's, the police's, and that of what comes from the devices"
    for port in (9000, 9001, 25):
        boxes.send("wire", VM, port, count=2)
        boxes.send("c0", VM, port, count=3, source=BOX)
        boxes.send("c0", STRANGER, port, count=4, source=BOX)
    assert boxes.arrived() == {"vm0": {9000: 5}, "wire": {9000: 4, 9001: 4}}
    assert leaving(boxes, "c0") == {"pass": 14, "drop": 7}
    assert verdicts(boxes.rig.show()["vm0"]) == {"pass": 5, "drop": 2 + 3 + 2}
