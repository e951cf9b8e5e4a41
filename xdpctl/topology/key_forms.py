"""The forms of match keys' values: how one value is read, said in words, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any

from xdpctl.record import record
from xdpctl.topology.form import Spans, names_schema, ordered, text_schema
from xdpctl.topology.key_names import TCP_FLAGS
from xdpctl.topology.model import Interval, Masked
from xdpctl.topology.raw import nearest

_LONGEST_RANGE = 100
"""Characters of two names with a dash between; dashes are tried one by one."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}|0x[0-9a-fA-F]{1,8}")
_FLAGS = re.compile(r"(?:(any|all)\s*\(([^()]*)\)|([^()]*))")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,12})?)\s*%?")


@record
class Number:
    """A number, a name of one, or a range of either.

    `none`: the word for "not there" may be a value, too; its number is the first beyond the field.
    """

    bits: int
    known: Mapping[str, int] = field(default_factory=dict)
    none: bool = False
    several: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names, `none` among them."""
        return (*self.known, *(("none",) if self.none else ()))

    def parse(self, text: str) -> Spans | None:
        """A name may have a dash in it."""
        if self.none and text == "none":
            return (Interval(1 << self.bits, 1 << self.bits),)
        single = self._number(text)
        if single is not None:
            return (Interval(single, single),)
        if len(text) > _LONGEST_RANGE:
            return None
        for at in (at for at, character in enumerate(text) if character == "-"):
            low, high = self._number(text[:at].strip()), self._number(text[at + 1 :].strip())
            if low is not None and high is not None:
                return (ordered(low, high, text),)
        return None

    def _number(self, text: str) -> int | None:
        if text.lower() in self.known:
            return self.known[text.lower()]
        if not _NUMBER.fullmatch(text):
            return None
        number = int(text, 0)
        return number if number < 1 << self.bits else None

    def wanted(self) -> str:
        """What is allowed, in words."""
        names = (", a name" if self.known else "") + (", none" if self.none else "")
        return f"a number of 0-{(1 << self.bits) - 1}{names} or a range"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        number = {"type": "integer", "minimum": 0, "maximum": (1 << self.bits) - 1}
        return [number, *names_schema(self), text_schema()]


@record
class Word:
    """One of a few words."""

    bits: int
    words: Mapping[str, Interval]
    several: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The words."""
        return tuple(self.words)

    def parse(self, text: str) -> Spans | None:
        """The word's interval."""
        return (self.words[text.lower()],) if text.lower() in self.words else None

    def wanted(self) -> str:
        """What is allowed, in words."""
        return f"one of {', '.join(self.words)}"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        return [*names_schema(self), text_schema()]


@record
class Flags:
    """TCP's flags: exactly these, any of these, all of these (and maybe more)."""

    bits: int = 8
    several: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The flags, and `none` for no flag at all."""
        return (*TCP_FLAGS, "none")

    def parse(self, text: str) -> Spans | None:
        """`syn,ack`, `any(syn,fin)`, `all(syn,ack)`, `none`, or the byte as a number."""
        text = text.lower()
        if text == "none":
            return (Interval(0, 0),)
        if _NUMBER.fullmatch(text):
            number = int(text, 0)
            return (Interval(number, number),) if number < 256 else None
        found = _FLAGS.fullmatch(text)
        words = re.split(r"\s*,\s*", (found[2] or found[3] or "").strip()) if found else []
        if found is None:
            return None
        for word in words:
            if word not in TCP_FLAGS:
                if len(words) > 1 and re.fullmatch(r"\w+", word):
                    raise ValueError(f"has no flag {word}{nearest(word, TCP_FLAGS)}")
                return None
        numbers = sorted({TCP_FLAGS[word] for word in words})
        if found[1] == "any":
            return tuple(Masked(number, number) for number in numbers)
        total = sum(numbers)
        return (Masked(total, total) if found[1] == "all" else Interval(total, total),)

    def wanted(self) -> str:
        """What is allowed, in words."""
        return f"flags ({', '.join(TCP_FLAGS)}), any(…), all(…), none or a number of 0-255"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        return [
            {"type": "integer", "minimum": 0, "maximum": 255},
            *names_schema(self),
            text_schema(),
        ]


@record
class Percent:
    """A share of 2**32: as many of the numbers from 0 on."""

    bits: int = 32
    names: tuple[str, ...] = ()
    several: bool = False

    def parse(self, text: str) -> Spans | None:
        """0 to 100, with or without `%`; what is not 0 or 100 never becomes it by rounding."""
        found = _PERCENT.fullmatch(text)
        if found is None or Decimal(found[1]) > 100:
            return None
        share = Decimal(found[1]) / 100
        total = 1 << self.bits
        count = round(share * total)
        if 0 < share < 1:
            count = min(max(count, 1), total - 1)
        return (Interval(0, count - 1),) if count else ()

    def wanted(self) -> str:
        """What is allowed, in words."""
        return "a percentage of 0-100"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        pattern = r"^!?\s*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)\s*%?\s*$"
        return [{"type": "number", "minimum": 0, "maximum": 100}, text_schema(pattern)]


@record
class DeviceName:
    """The name of a device of the file; the kernel knows its ifindex. `none`: there is no port."""

    bits: int = 32
    names: tuple[str, ...] = ("none",)
    several: bool = True

    def parse(self, text: str) -> Spans | None:
        """Of `none` the number 0, which no device has. Names are no numbers yet: see conditions."""
        return (Interval(0, 0),) if text == "none" else None

    def wanted(self) -> str:
        """What is allowed, in words."""
        return "a device's name or none"

    def choices(self) -> list[dict[str, Any]]:
        """Schemas of one value."""
        return [text_schema()]
