"""What docs/coming-from.md calls our way is our way."""

import re
from pathlib import Path

import pytest

from xdpctl.topology.load import load_texts
from xdpctl.topology.model import Topology

PAGE = (Path(__file__).parents[3] / "docs" / "coming-from.md").read_text()
TABLE = [row for row in PAGE.splitlines() if row.startswith("| ")][1:]
OURS = [code for row in TABLE for code in re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])]
HEADER = """version: 1
name: t
devices: {eth0: {kind: physical}, tap0: {kind: tap}}
"""


def loaded(match: str, action: str = "pass") -> Topology:
    return load_texts(
        {
            "t": f"{HEADER}sets:\n  pairs: {{type: [ip4.saddr, tcp.dport], entries: []}}\n"
            f"policies:\n  other: {{}}\n  p:\n"
            f"    rules: [{{match: {{{match}}}, action: {action}}}]\n"
        }
    )


def test_the_page_has_examples() -> None:
    assert len(OURS) > 30


@pytest.mark.parametrize(
    "code", [one for one in OURS if re.match(r"(action: )?[a-z0-9_.]+: ", one)]
)
def test_a_rule_of_the_table_loads(code: str) -> None:
    if code.startswith(("default:", "sets:", "type:")):
        assert "drop" in code or "type" in code
    elif code.startswith("action: "):
        assert loaded("", code.removeprefix("action: "))
    else:
        assert loaded(code.replace("…", "443"))


def test_the_policy_of_the_page_loads() -> None:
    (shown,) = re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)
    policy = load_texts({"t": HEADER + shown}).policies["server"]
    assert len(policy.rules) == 10
