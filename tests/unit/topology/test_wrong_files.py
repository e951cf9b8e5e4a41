"""Each directory below tests/unit/validate is a wrong topology and all that is wrong with it."""

from pathlib import Path

import pytest

from xdpctl.errors import TopologyError
from xdpctl.topology.load import load

CASES = Path(__file__).parent.parent / "validate"
NAMES = sorted(path.parent.name for path in CASES.glob("*/expected.txt"))


def test_there_are_cases() -> None:
    assert len(NAMES) > 60


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_told_where_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / name)
    with pytest.raises(TopologyError) as error:
        load(sorted(path.name for path in Path().glob("*.yaml")))
    assert str(error.value) + "\n" == Path("expected.txt").read_text()
