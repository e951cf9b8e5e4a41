"""The digest changes with what a policy means or shows, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xdpctl.policy.digest import digest
from xdpctl.policy.version import VERSION
from xdpctl.topology.model import Condition, Interval, Location, Masked, Policy, Rule

HERE = Location("a.yaml", 4, 7)
PORTS = Condition("tcp.dport", (Interval(80, 80), Interval(443, 443)))
SOURCE = Condition("ip4.saddr", (Interval(10 << 24, (11 << 24) - 1),), negated=True)
WEB = Rule("web", (PORTS, SOURCE), "pass", HERE)
PING = Rule("ping", (), "count", HERE)
POLICY = Policy("one", "drop", (WEB, PING), HERE)


def test_it_is_the_same_on_every_machine_and_day() -> None:
    assert digest(POLICY) == "cac4d4270675"


@pytest.mark.parametrize(
    "other",
    [
        replace(POLICY, name="two"),
        replace(POLICY, location=Location("b.yaml", 1, 1)),
        replace(POLICY, rules=(replace(WEB, location=Location("b.yaml", 9, 9)), PING)),
        replace(POLICY, rules=(replace(WEB, conditions=(SOURCE, PORTS)), PING)),
    ],
)
def test_names_places_and_the_order_of_conditions_do_not_count(other: Policy) -> None:
    assert digest(other) == digest(POLICY)


@pytest.mark.parametrize(
    "other",
    [
        replace(POLICY, default="pass"),
        replace(POLICY, rules=(PING, WEB)),
        replace(POLICY, rules=(WEB,)),
        replace(POLICY, rules=(replace(WEB, name="site"), PING)),
        replace(POLICY, rules=(replace(WEB, action="drop"), PING)),
        replace(POLICY, rules=(replace(WEB, conditions=(PORTS,)), PING)),
        replace(
            POLICY,
            rules=(replace(WEB, conditions=(PORTS, replace(SOURCE, negated=False))), PING),
        ),
        replace(
            POLICY,
            rules=(
                replace(WEB, conditions=(replace(PORTS, key="tcp.sport"), SOURCE)),
                PING,
            ),
        ),
        replace(
            POLICY,
            rules=(
                replace(WEB, conditions=(replace(PORTS, intervals=(Interval(80, 443),)), SOURCE)),
                PING,
            ),
        ),
        replace(
            POLICY,
            rules=(
                replace(WEB, conditions=(replace(PORTS, masks=(Masked(1, 1),)), SOURCE)),
                PING,
            ),
        ),
    ],
)
def test_whatever_means_or_shows_otherwise_counts(other: Policy) -> None:
    assert digest(other) != digest(POLICY)


def test_a_new_compiler_makes_new_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(POLICY)
    monkeypatch.setattr("xdpctl.policy.digest.VERSION", VERSION + 1)
    assert digest(POLICY) != before
