"""What all forms of match keys' values have in common.

A value is one or more spans: intervals, or bits under a mask. `parse` returns None for what is
not of the form, and raises ValueError with a sentence where more can be said.
"""

from __future__ import annotations

from typing import Any, Protocol

from xdpctl.topology.model import Interval, Masked

Span = Interval | Masked
Spans = tuple[Span, ...]


class Form(Protocol):
    """What the values of a key look like.

    bits     width of the field
    names    names of some of its values, in the order in which to list them
    several  whether a list of values means something
    """

    @property
    def bits(self) -> int: ...  # noqa: D102

    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def several(self) -> bool: ...  # noqa: D102

    def parse(self, text: str) -> Spans | None: ...  # noqa: D102

    def wanted(self) -> str: ...  # noqa: D102

    def choices(self) -> list[dict[str, Any]]: ...  # noqa: D102


def text_schema(pattern: str = "") -> dict[str, Any]:
    """JSON Schema of a text of this pattern."""
    text = {"type": "string", "minLength": 1}
    return text | {"pattern": pattern} if pattern else text


def names_schema(form: Form) -> list[dict[str, Any]]:
    """JSON Schemas of a form's names, if it has any."""
    return [{"enum": list(form.names)}] if form.names else []


def masked(value: int, mask: int, bits: int) -> Span:
    """An interval where the mask is a prefix: the compiler joins and searches those."""
    host = (1 << bits) - 1 - mask
    return Masked(value, mask) if host & (host + 1) else Interval(value, value | host)


def ordered(low: int, high: int, text: str) -> Interval:
    """A range, written as `text`; ValueError where it is upside down."""
    if low > high:
        raise ValueError(f"is a range upside down: {text}")
    return Interval(low, high)
