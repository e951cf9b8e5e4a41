"""What is common to the plain YAML of blocks and of brackets: scalars, and giving up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from xdpctl.topology.tree import Node, Scalar, ScalarValue

Resolve = Callable[[str], ScalarValue]

DEEPEST: Final = 16

# Pieces of regular expressions. Nothing in them is tried a second time in another way: no text
# takes longer than its length.
WORD: Final = r"A-Za-z0-9_/.+~@()=*%<>^$;&!?'-"
START: Final = r"(?:[A-Za-z0-9_/.+~]|-(?=[A-Za-z0-9]))"
QUOTED: Final = r""""([^"\\\n]*)"|'([^'\n]*)'(?!')"""


class NotPlainError(Exception):
    """Something that events must read; never leaves the reader of plain YAML."""


class Scalars:
    """Makes scalars; each plain text is resolved once."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._values: dict[str, ScalarValue] = {}
        self._words: set[str] = set()

    def made(self, line: int, column: int, plain: str | None, quoted: str | None) -> Scalar:
        """The scalar of a plain or a quoted text."""
        if plain is None:
            assert quoted is not None
            return Scalar(line, column, quoted, quoted, False)
        if plain not in self._values:
            self._values[plain] = self._resolve(plain)
        return Scalar(line, column, self._values[plain], plain, True)

    def key(
        self, line: int, column: int, plain: str | None, quoted: str | None,
        entries: dict[str, tuple[Scalar, Node]],
    ) -> Scalar:  # fmt: skip
        """A key that the mapping does not have yet."""
        text = quoted if plain is None else plain
        assert text is not None
        if text in entries or (plain is not None and not self._is_word(plain)):
            raise NotPlainError
        return Scalar(line, column, text, text, plain is not None)

    def _is_word(self, plain: str) -> bool:
        """Whether the text is that when it stands plain, not a switch or nothing."""
        if plain not in self._words:
            if not isinstance(self._resolve(plain), str):
                return False
            self._words.add(plain)
        return True
