"""Ranges of names."""

import pytest

from xdpctl.topology import ranges


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web0", ["web0"]),
        ("web[1-3]", ["web1", "web2", "web3"]),
        ("web[9-11]", ["web9", "web10", "web11"]),
        ("web[08-10]", ["web08", "web09", "web10"]),
        ("web[007-007]", ["web007"]),
        ("web[0-1]a", ["web0a", "web1a"]),
        ("[1-2]", ["1", "2"]),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert ranges.names(text) == names


@pytest.mark.parametrize(
    "text",
    ["a[2-1]", "a[1-]", "a[-1]", "a[]", "a[1]", "a[1-2", "a]1-2[", "a[1-2][3-4]", "a[1--2]",
     "a[01-2]", "a[1-02]", "a[0-65536]", "a[x-y]", "a[１-２]"],
)  # fmt: skip
def test_broken(text: str) -> None:
    with pytest.raises(ValueError, match=r"\["):
        ranges.parse(text)


def test_the_largest() -> None:
    found = ranges.parse("a[0-65535]")
    assert found is not None
    assert len(found) == ranges.LIMIT
