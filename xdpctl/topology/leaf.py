"""Single values of the file that belong to no kind of device: how each is read, and its schema.

Like a codec's `parse`, each reader raises ValueError with a sentence that goes on after the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from xdpctl.record import record
from xdpctl.topology.codecs import SWITCH_SCHEMA, Mac, integer, nearest, shown, switch
from xdpctl.topology.property import Codec, Composite

SYNONYMS = {
    "bond-mode": "mode",
    "dev": "parent",
    "elements": "entries",
    "ether": "address",
    "ether_addr": "ether",
    "hwaddr": "address",
    "inet_service": "port",
    "interfaces": "ports",
    "ipv4_addr": "ip4",
    "ipv6_addr": "ip6",
    "link": "parent",
    "lladdr": "address",
    "lower": "parent",
    "mac": "address",
    "macaddress": "address",
    "master": "parent",
    "members": "ports",
    "slaves": "ports",
    "type": "kind",
    "vid": "id",
    "vni": "id",
}
"""What other tools call a key: the second guess for an unknown one."""


class Inside(ValueError):  # noqa: N818 (it is where, not what)
    """A sentence about something inside the value: `path` leads there (its last key: `at_key`)."""

    def __init__(self, message: str, *path: str | int, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.at_key = at_key


@lru_cache(maxsize=1024)
def guess(word: str, known: tuple[str, ...]) -> str:
    """` (did you mean x?)`, or what there is where nothing is near and little to choose from."""
    near = nearest(word, known)
    synonym = SYNONYMS.get(word.lower())
    if synonym in known and not near.startswith(f" (did you mean {word.lower()}"):
        return f" (did you mean {synonym}?)"
    if near or not known:
        return near
    return f" (known here: {', '.join(known)})" if len(known) <= 12 else ""


class Hints:
    """Guesses among many names; not for every name of a file full of wrong ones."""

    MOST = 20

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._told: dict[str, str] = {}

    def near(self, word: str) -> str:
        """What `guess` says, or nothing once it has been asked often."""
        if word not in self._told:
            few = len(self._told) < self.MOST
            self._told[word] = guess(word, self._names) if few else ""
        return self._told[word]


@record
class Base:
    """`{base: …}`: what a range's devices count from; each adds its number."""

    start: int | str

    def plus(self, number: int) -> int | str:
        """The value of the range's device `number`; ValueError if it runs over."""
        if isinstance(self.start, int):
            return self.start + number
        total = int(self.start.replace(":", ""), 16) + number
        if total >= 1 << 48:
            raise ValueError(f"{self.start} + {number} is no MAC address any more")
        return total.to_bytes(6, "big").hex(":")


@record
class Text:
    """Text of a pattern; `wanted` says in words what the pattern wants.

    numbers  whether a number means the text that it is written as
    """

    pattern: str
    wanted: str
    numbers: bool = False

    def parse(self, raw: object) -> str:
        """The text as it is."""
        if self.numbers and isinstance(raw, int) and not isinstance(raw, bool):
            return str(raw)
        if isinstance(raw, str) and re.fullmatch(self.pattern, raw):
            return raw
        quote = f' (write "{shown(raw)}")' if isinstance(raw, int) else ""
        found = shown(raw) or "nothing"
        if isinstance(raw, str) and raw.strip() != raw:
            found = repr(raw)
        raise ValueError(f"must be {self.wanted}, not {found}{quote}")

    def schema(self) -> dict[str, Any]:
        """A pattern."""
        text = {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        return {"anyOf": [text, {"type": "integer"}]} if self.numbers else text


@record
class Choice:
    """One of a few words; `more` is told to who writes none of them."""

    words: tuple[str, ...]
    more: str = ""

    def parse(self, raw: object) -> str:
        """The word."""
        if isinstance(raw, str) and raw in self.words:
            return raw
        hint = nearest(raw, self.words) if isinstance(raw, str) else ""
        wanted = " or ".join([*filter(None, [", ".join(self.words[:-1])]), self.words[-1]])
        raise ValueError(f"must be {wanted}, not {shown(raw)}{hint}{self.more}")

    def schema(self) -> dict[str, Any]:
        """The words."""
        return {"enum": list(self.words)}


@record
class Version:
    """The file format's version."""

    def parse(self, raw: object) -> int:
        """1, the only one."""
        if integer(raw) != 1:
            raise ValueError(f"must be 1, not {shown(raw)}")
        return 1

    def schema(self) -> dict[str, Any]:
        """1."""
        return {"enum": [1, "1"]}


@record
class Switch:
    """On or off."""

    def parse(self, raw: object) -> bool:
        """The boolean that is meant."""
        return switch(raw)

    def schema(self) -> dict[str, Any]:
        """A boolean or one of its spellings."""
        return SWITCH_SCHEMA


@record
class Reference:
    """Another device of the file, or a range of them (`eth[1-4]`)."""

    def parse(self, raw: object) -> str:
        """A name; whether there is such a device is checked later, when all are known."""
        if isinstance(raw, str) and raw:
            return raw
        quote = f' (write "{shown(raw)}")' if isinstance(raw, int) else ""
        raise ValueError(f"must be a device's name, not {shown(raw) or 'nothing'}{quote}")

    def schema(self) -> dict[str, Any]:
        """A name, or a range."""
        return {"type": "string", "minLength": 1}


@record
class Based:
    """A codec's value, or `{base: …}` in a range."""

    codec: Codec | Composite

    def parse(self, raw: object) -> object:
        """The canonical value, or a Base that holds it."""
        if not isinstance(raw, Mapping):
            return self.codec.parse(raw)
        if set(raw) != {"base"}:
            raise ValueError("must be a value or {base: …}")
        start = self.codec.parse(raw["base"])
        assert isinstance(start, int | str)
        return Base(start)

    def schema(self) -> dict[str, Any]:
        """Either."""
        inner = self.codec.schema()
        base = {
            "type": "object",
            "description": "In a range: each device has base + its number.",
            "properties": {"base": inner},
            "required": ["base"],
            "additionalProperties": False,
        }
        return {"anyOf": [inner, base]}


NAME = Text(r"[a-z][a-z0-9-]{0,31}", "a-z, 0-9 and - (at most 32, a letter first)")
POLICY_NAME = Text(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", "at most 64 of A-Z, a-z, 0-9, _, . and -")
RULE_NAME = Text(
    r"[^\s\x00-\x1f](?:[^\x00-\x1f]{0,62}[^\s\x00-\x1f])?", "1-64 characters of text", numbers=True
)
PLAIN_TEXT = Text(r".+", "text")
VERDICT = Choice(("pass", "drop"))
MODE = Choice(("auto", "native", "generic"))
DELIVER = Choice(("redirect",))
FLOOD = Choice(("enforce", "pass", "drop"))
VERSION = Version()
SWITCH = Switch()
REFERENCE = Reference()
NETNS = Text(r"(?!\.{1,2}$)[^/\s\x00]{1,255}", "a network namespace's name", numbers=True)
MAC = Mac()
