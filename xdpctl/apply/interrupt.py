"""SIGINT and SIGTERM in the middle of a run: noted, and acted on between two batches."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from xdpctl.errors import ApplyError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """While entered, these signals only set a flag; a rollback is not disturbed by a second one."""

    def __init__(self) -> None:
        self._caught: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._caught = self._caught or signal.Signals(number)

    def check(self) -> None:
        """Raise ApplyError if a signal came."""
        if self._caught is not None:
            raise ApplyError(f"stopped by {self._caught.name}")
