"""Immutable records, made quickly: the program defines two hundred of them at every start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(made: type[T]) -> type[T]:
    """`dataclass(frozen=True, slots=True)` in a third of the time, and its instances in half.

    That compiles up to seven functions a class, most of them never called by a run: here only
    `__init__` is compiled, and the others are the same function for all classes. Immutable by the
    type checker alone: an instance that refuses to be written to is also slow to make.
    """
    written = vars(made).keys()
    found: Any = dataclass(slots=True, eq=False, repr=False)(made)
    if "__eq__" not in written and (names := [one.name for one in fields(found) if one.compare]):
        found.__eq__, found.__hash__ = _compared(attrgetter(*names))
    if "__repr__" not in written:
        found.__repr__ = _shown
    return cast(type[T], found)


def _compared(key: Callable[[Any], Any]) -> tuple[Callable[..., Any], Callable[..., int]]:
    """`__eq__` and `__hash__` by this key."""

    def equal(self: Any, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(key(self))

    return equal, hashed


def _shown(self: Any) -> str:
    """As a dataclass's."""
    listed = [f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr]
    return f"{type(self).__qualname__}({', '.join(listed)})"
