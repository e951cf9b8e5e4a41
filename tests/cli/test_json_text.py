"""JSON is written as the standard library writes it with an indent."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from xdpctl.cli.json_text import indented

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
DOCUMENTS = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(DOCUMENTS)
@example({"a": {}, "b": [], "c": [[], {}], 'quote"\n': "ünïcode\x7f\u2028"})
@example([True, False, None, 0, -1, 1 << 70, 1.5, 1e30])
def test_the_same_text(document: Any) -> None:
    assert indented(document) == json.dumps(document, indent=2, ensure_ascii=False)
