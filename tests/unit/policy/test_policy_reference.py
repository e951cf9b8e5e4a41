"""docs/policies.md is what its tables say."""

import re
from pathlib import Path

import pytest

from tests.policies.examples import EXAMPLES
from tests.policies.reference import FAMILIES, NOTES, text
from xdpctl.errors import TopologyError
from xdpctl.topology.key_forms import Number
from xdpctl.topology.keys import KEYS
from xdpctl.topology.load import load_texts

HEADER = "version: 1\nname: t\ndevices: {}\n"
PAGE = Path(__file__).parents[3] / "docs" / "policies.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == text()


def test_its_policy_is_one() -> None:
    shown, sets, program = re.findall("```yaml\n(.*?)```", text(), re.DOTALL)
    policy = load_texts({"t": HEADER + shown}).policies["web"]
    assert [rule.name for rule in policy.rules] == ["arp", "https", "seen"]
    topology = load_texts({"t": HEADER + sets.replace(", file: blocked.txt", "")})
    assert [len(one) for one in topology.sets.values()] == [2, 11]
    with pytest.raises(TopologyError, match=r"mine\.bpf\.o cannot be read"):
        load_texts({"t": HEADER + program})


def test_each_key_is_on_it_with_an_example() -> None:
    assert set(EXAMPLES) == set(KEYS)
    for key in KEYS:
        assert f"\n| `{key}` | " in text()
    assert {key.split(".")[0] for key in KEYS} == set(FAMILIES)
    assert set(NOTES) <= set(FAMILIES)


def test_each_name_is_explained() -> None:
    """Every name of a number stands on the page with its number."""
    for key in KEYS.values():
        if isinstance(key.form, Number):
            for name, number in key.form.known.items():
                assert f"`{name}` {number}" in text() or f"`{name}` {number:#06x}" in text()
