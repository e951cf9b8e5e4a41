"""A progress bar on stderr, for those who wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from xdpctl.cli.console import Console

if TYPE_CHECKING:
    from xdpctl.plan.operation import Operation

_PATIENCE = 1.0  # seconds before a bar is shown at all
_INTERVAL = 0.1  # seconds between two drawings
_WIDTH = 30


class Progress:
    """Draws on a terminal once a second has passed; told to be verbose, it lists the operations."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        self._draws = sys.stderr.isatty() and not console.quiet and not verbose
        self._next = time.monotonic() + _PATIENCE
        self._drawn = False

    def __call__(self, done: int, total: int, batch: Sequence[Operation]) -> None:
        """`done` of `total` operations are done, those of `batch` have just begun."""
        if self._verbose:
            for operation in batch:
                self._console.message(operation.summary())
        elif self._draws and (now := time.monotonic()) >= self._next:
            self._next = now + _INTERVAL
            self._drawn = True
            filled = _WIDTH * done // max(total, 1)
            bar = "#" * filled + "." * (_WIDTH - filled)
            sys.stderr.write(f"\r[{bar}] {done}/{total} {batch[0].summary():.40}\x1b[K")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
