"""Which policies share instructions, and what of them stands in rows."""

from __future__ import annotations

from typing import Final

import pytest

from xdpctl.policy.bindings import Bindings
from xdpctl.policy.counted import counted
from xdpctl.policy.shape import MOST_PARAMETERS, Candidate, Shape, shapes
from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Policy

HEAD: Final = """\
version: 1
name: t
devices:
  eth0: {kind: physical}
policies:
  onward: {default: drop, rules: [{match: {udp.dport: 53}, action: pass}]}
  away: {default: pass, rules: [{match: {udp.dport: 53}, action: pass}]}
"""


def policies(*rules: str) -> list[Policy]:
    """One policy for each text of rules."""
    text = HEAD + "".join(
        f"  p{number}: {{default: drop, rules: [{each}]}}\n" for number, each in enumerate(rules)
    )
    found = load_texts({"t.yaml": text}).policies
    return [found[f"p{number}"] for number in range(len(rules))]


def grouped(*rules: str) -> list[Shape]:
    return shapes(
        [Candidate(one, tuple(range(len(counted(one)) + 1))) for one in policies(*rules)],
        Bindings(),
    )


@pytest.mark.parametrize(
    ("rules", "rows"),
    [
        (
            ("{match: {tcp.dport: 80}, action: pass}", "{match: {tcp.dport: 81}, action: pass}"),
            ((80,), (81,)),
        ),
        (
            (
                "{match: {tcp.dport: [80, 8000-8100]}, action: pass}",
                "{match: {tcp.dport: [80, 8000-8200]}, action: pass}",
            ),
            ((8100,), (8200,)),
        ),
        (
            (
                "{match: {ip4.saddr: 10.0.0.0/8}, action: drop}",
                "{match: {ip4.saddr: 11.0.0.0/8}, action: drop}",
            ),
            ((0x0A000000, 0x0AFFFFFF), (0x0B000000, 0x0BFFFFFF)),
        ),
        (
            (
                "{match: {udp.dport: '!53', ether.saddr: '02:00:00:00:00:01'}, action: drop}",
                "{match: {udp.dport: '!54', ether.saddr: '02:00:00:00:00:02'}, action: drop}",
            ),
            ((0x020000000001, 52, 54), (0x020000000002, 53, 55)),
        ),
        (
            (
                "{match: {tcp.dport: 80}, action: pass}, {match: {udp.dport: 1}, action: pass}",
                "{match: {tcp.dport: 80}, action: pass}, {match: {udp.dport: 1}, action: pass}",
            ),
            ((), ()),
        ),
        (
            (
                "{match: {tcp.dport: 80}, action: {policy: onward}}",
                "{match: {tcp.dport: 81}, action: {policy: onward}}",
            ),
            ((80,), (81,)),
        ),
    ],
    ids=["a value", "the end of a range", "prefixes", "negated, addresses", "alike", "onward"],
)
def test_policies_that_differ_in_numbers_share(
    rules: tuple[str, ...], rows: tuple[tuple[int, ...], ...]
) -> None:
    (shape,) = grouped(*rules)
    assert shape.members == (0, 1)
    assert shape.rows == rows


@pytest.mark.parametrize(
    "other",
    [
        "{match: {tcp.dport: 80}, action: drop}",
        "{match: {tcp.sport: 80}, action: pass}",
        "{match: {udp.dport: 80}, action: pass}",
        "{match: {tcp.dport: [80, 82]}, action: pass}",
        "{match: {tcp.dport: 80-81}, action: pass}",
        "{match: {tcp.dport: 80, ip4.ttl: 1}, action: pass}",
        "{match: {tcp.dport: 80}, action: pass}, {match: {ip4.ttl: 1}, action: pass}",
        "{match: {tcp.dport: 80}, action: count}",
        "{match: {tcp.dport: 80}, action: {limit: 1/second}}",
    ],
)
def test_policies_that_differ_in_more_do_not(other: str) -> None:
    made = grouped("{match: {tcp.dport: 80}, action: pass}", other)
    assert [shape.members for shape in made] == [(0,), (1,)]
    assert all(shape.steps is None for shape in made)


def test_masks_and_limits_must_be_alike() -> None:
    flags = "{{match: {{tcp.flags: any({})}}, action: {{limit: {}/second}}}}"
    made = grouped(
        flags.format("syn", 1), flags.format("syn", 1), flags.format("fin", 1),
        flags.format("syn", 2),
    )  # fmt: skip
    assert [shape.members for shape in made] == [(0, 1), (2,), (3,)]


def test_what_they_lead_to_must_be_the_same() -> None:
    made = grouped(
        "{match: {tcp.dport: 80}, action: {policy: onward}}",
        "{match: {tcp.dport: 81}, action: {policy: away}}",
    )
    assert [shape.members for shape in made] == [(0,), (1,)]


def test_counters_must_be_the_same() -> None:
    one, two = policies(*["{match: {tcp.dport: 80}, action: pass}"] * 2)
    made = shapes([Candidate(one, (4, 0, 1)), Candidate(two, (5, 0, 1))], Bindings())
    assert [shape.members for shape in made] == [(0,), (1,)]


@pytest.mark.parametrize(("rules", "together"), [(MOST_PARAMETERS, True),
                                                 (MOST_PARAMETERS + 1, False)])  # fmt: skip
def test_a_row_has_so_many_words(rules: int, *, together: bool) -> None:
    def of(first: int) -> str:
        return ", ".join(
            f"{{match: {{tcp.dport: {first + number}}}, action: pass}}" for number in range(rules)
        )

    assert len(grouped(of(1), of(1000))) == (1 if together else 2)
