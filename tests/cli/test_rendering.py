"""Plans and live state as text, from the documents of the JSON contract."""

from __future__ import annotations

from typing import Any

import pytest

from xdpctl.cli.console import Paint
from xdpctl.cli.rendering import outcome_text, plan_text, value_text
from xdpctl.cli.tree import show_text, size_text

PLAIN = Paint(on=False)
NOTHING = {"create": 0, "update": 0, "replace": 0, "delete": 0, "attach": 0, "detach": 0}


def action(op: str, device: str, reason: str = "", **changes: tuple[object, object]) -> Any:
    return {
        "op": op,
        "device": device,
        "changes": {name: {"from": old, "to": new} for name, (old, new) in changes.items()},
        "reason": reason,
    }


def plan(*actions: Any, notes: tuple[str, ...] = (), **summary: int) -> Any:
    return {
        "format": 1,
        "topology": "edge",
        "changed": bool(actions),
        "summary": NOTHING | summary,
        "actions": list(actions),
        "notes": list(notes),
    }


def test_a_plan_reads_as_terraforms() -> None:
    document = plan(
        action("create", "web0", kind=(None, "macvlan"), parent=(None, "eth0"), mtu=(None, 1500)),
        action("update", "eth0", mtu=(1500, 9000)),
        action("replace", "vm0", "mode forces replacement", mode=("bridge", "passthru")),
        action("delete", "old0"),
        action("attach", "web0", "policy web"),
        notes=("eth0: native, because veth supports it",),
        create=1,
        update=1,
        replace=1,
        delete=1,
        attach=1,
    )
    assert (
        plan_text(document, PLAIN)
        == """\
Topology edge: xdpctl will do the following.

  + create macvlan web0
      parent = eth0
      mtu    = 1500

  ~ update eth0
      mtu = 1500 -> 9000

-/+ replace vm0  # mode forces replacement
      mode = bridge -> passthru

  - delete old0

  + attach XDP to web0  # policy web

note: eth0: native, because veth supports it

Plan: 2 to add, 1 to change, 2 to destroy.
XDP: 1 to attach, 0 to detach."""
    )


def test_an_empty_plan_says_so() -> None:
    text = plan_text(plan(), PLAIN)
    assert text == "No changes. The host matches topology edge."


def test_notes_stand_below_an_empty_plan_too() -> None:
    assert plan_text(plan(notes=("eth0: generic",)), PLAIN).endswith("\n\nnote: eth0: generic")


def test_colour_adds_nothing_but_escapes() -> None:
    document = plan(action("delete", "old0", "left the file"), delete=1)
    painted = plan_text(document, Paint(on=True))
    assert "\x1b[31m" in painted
    for code in ("\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == plan_text(document, PLAIN)


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        ({"create": 2, "update": 1}, "Apply complete: 2 added, 1 changed, 0 destroyed, in 0.25 s."),
        (
            {"replace": 1, "attach": 3},
            "Apply complete: 1 added, 0 changed, 1 destroyed, "
            "XDP 3 attached, 0 detached, in 0.25 s.",
        ),
    ],
)
def test_outcome(summary: dict[Any, int], text: str) -> None:
    assert outcome_text({**NOTHING, **summary}, "Apply", 0.25) == text  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(none)"),
        (True, "true"),
        (0, "0"),
        ("up", "up"),
        (["a", 1], "[a, 1]"),
        ({"queue_id": 1}, "{queue_id: 1}"),
    ],
)
def test_values(value: object, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12_345_678, "12.3 MB"), (10**18, "1e+03 PB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


def device(parent: str | None, **xdp: Any) -> Any:
    return {
        "kind": "macvlan" if parent else "physical",
        "ifindex": 2,
        "parent": parent,
        "state": "up",
        "xdp": {"mode": "none", "policy": None, "rules": [], "verdicts": {}} | xdp,
    }


def count(packets: int, size: int) -> dict[str, int]:
    return {"packets": packets, "bytes": size}


def test_the_tree_shows_stack_and_counters() -> None:
    document = {
        "format": 1,
        "topology": "edge",
        "devices": {
            "eth0": device(None, mode="native", unknown=count(3, 180), malformed=count(0, 0)),
            "web0": device(
                "eth0",
                mode="dispatched",
                policy="web",
                rules=[{"name": "https", **count(5, 300)}, {"name": "arp", **count(12, 1500)}],
                flooded=count(2, 120),
                verdicts={
                    "pass": count(17, 1800),
                    "drop": count(3, 180),
                    "tx": count(0, 0),
                    "redirect": count(0, 0),
                },
            ),
            "low0": device("web0"),
            "dns0": device("eth0"),
        },
        "drift": [
            action("attach", "eth0", "its program was taken off"),
            action("update", "web0", mtu=(1400, 1500)),
        ],
    }
    assert (
        show_text(document, PLAIN)
        == """\
topology edge
eth0        physical  up    native      -
│    (unknown)          3 packets     180 B
├─ web0     macvlan   up    dispatched  web          pass 17  drop 3
│  │    https              5 packets     300 B
│  │    arp               12 packets    1.5 kB
│  │    (flooded)          2 packets     120 B
│  └─ low0  macvlan   up
└─ dns0     macvlan   up

drift (2):
  + attach XDP to eth0  # its program was taken off
  ~ update web0
      mtu = 1400 -> 1500"""
    )
