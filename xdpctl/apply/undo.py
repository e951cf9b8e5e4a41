"""A list of steps back, for operations that consist of many writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdpctl.errors import XdpctlError


class HalfDoneError(XdpctlError):
    """An operation failed, and not all that it had done could be undone.

    The message says why it failed; `left` holds a sentence for each step back that failed, too.
    """

    def __init__(self, cause: BaseException, left: Sequence[str]) -> None:
        hint = cause.hint if isinstance(cause, XdpctlError) else None
        super().__init__(str(cause) or type(cause).__name__, hint=hint)
        self.left = tuple(left)


class Undo:
    """Collects how to take back each write; `run` takes all of them back, the last first."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def add(self, step: Callable[[], object]) -> None:
        """Remember how to take back the write that was just done."""
        self._steps.append(step)

    def run(self) -> list[str]:
        """Take everything back; a sentence for each step that failed, which does not keep the
        others from being tried. What a step back adds is not undone.
        """
        failed: list[str] = []
        steps, self._steps = self._steps, []
        for step in reversed(steps):
            try:
                step()
            except Exception as error:  # noqa: BLE001 (the rest must be undone all the same)
                failed.append(str(error) or type(error).__name__)
        return failed
