"""What YAML gives, read loosely: numbers, switches and lists in all the ways people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from xdpctl.topology.model import Value

NUMBER = re.compile(r"[-+]?([0-9]+|0[xX][0-9a-fA-F]+)")
"""YAML 1.2's numbers: no underscores, and no digits but ASCII's, which Python's int() takes."""

WORDS = {"on": True, "yes": True, "true": True, "1": True}
WORDS |= {"off": False, "no": False, "false": False, "0": False}


def nearest(word: str, names: Iterable[str]) -> str:
    """` (did you mean x?)` with the nearest of `names`, or nothing if none is near."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), list(names), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def integer(raw: object) -> int | None:
    """The number that YAML's number or string means (decimal, 0x…), or None if it is none."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return int(raw)
    if isinstance(raw, str) and NUMBER.fullmatch(raw.strip()):
        return int(raw, 16 if "x" in raw.lower() else 10)
    return None


def shown(raw: object) -> str:
    """A YAML value as a message shows it."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if raw is None:
        return "nothing"
    return str(raw) if isinstance(raw, int | float | str) else f"a {kind_of(raw)}"


def kind_of(raw: object) -> str:
    """What YAML calls the type of a value that is not a scalar."""
    return "mapping" if isinstance(raw, Mapping) else "list"


def elements(raw: object) -> list[object]:
    """The elements of a list; of a scalar (a string is split at blanks and commas); of nothing."""
    if raw is None:
        return []
    if isinstance(raw, str):
        return [*re.split(r"[\s,]+", raw.strip())] if raw.strip() else []
    if isinstance(raw, list | tuple):
        return list(raw)
    return [raw]


def loosely(word: str) -> str:
    """A keyword without what people write differently."""
    return word.strip().lower().replace("_", "-")


SWITCH_SCHEMA: dict[str, Any] = {"enum": [True, False, 1, 0, *WORDS]}


def switch(raw: object) -> bool:
    """What a switch's spelling means."""
    found = raw if isinstance(raw, bool) else WORDS.get(shown(raw).strip().lower())
    if found is None:
        raise ValueError(f"must be on or off, not {shown(raw)}")
    return found


def each(value: Value) -> tuple[Value, ...]:
    """The elements of a canonical list."""
    return value if isinstance(value, tuple) else (value,)
