"""Every wrong policy of tests/unit/topology/wrong is told exactly, and where it is wrong."""

from pathlib import Path

import pytest

from tests.unit.topology import wrong_policies
from xdpctl.topology.actions import ACTIONS
from xdpctl.topology.keys import KEYS
from xdpctl.topology.kinds import KINDS

CASES = tuple(wrong_policies.cases())


def test_there_are_many_and_each_has_its_own_title() -> None:
    assert len(CASES) >= 300
    assert len({(case.where, case.title) for case in CASES}) == len(CASES)
    assert all(case.told for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.where}: {case.title}")
def test_it_is_told(
    case: wrong_policies.Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert case.problems(tmp_path) == case.told


@pytest.mark.parametrize("form", sorted({type(key.form).__name__ for key in KEYS.values()}))
def test_every_form_of_a_key_is_among_them(form: str) -> None:
    names = [name for name, key in KEYS.items() if type(key.form).__name__ == form]
    told = [message for case in CASES for message in case.told]
    assert any(f": {name} " in message or f": {name}: " in message
               for message in told for name in names)  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_among_them(action: str) -> None:
    texts = [case.text for case in CASES if case.where == "actions.txt"]
    assert any(f"{{{action}:" in text or f"action: {action}" in text or f" {action}:" in text
               for text in texts)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"physical", "veth", "tap", "bond"}))
def test_every_kind_that_takes_no_redirect_is_among_them(kind: str) -> None:
    told = [message for case in CASES for message in case.told]
    assert any(f" is a {kind}, which takes no frames from XDP" in message for message in told)
