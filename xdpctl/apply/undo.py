"""A list of steps back, for operations that consist of many writes."""

from __future__ import annotations

from collections.abc import Callable


class Undo:
    """Collects how to take back each write; `run` takes all of them back, the last first."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def add(self, step: Callable[[], object]) -> None:
        """Remember how to take back the write that was just done."""
        self._steps.append(step)

    def run(self) -> None:
        """Take everything back. A step that fails does not keep the others from being tried; the
        first failure is raised when all have been. What a step back adds is not undone.
        """
        failures: list[Exception] = []
        steps, self._steps = self._steps, []
        for step in reversed(steps):
            try:
                step()
            except Exception as error:  # noqa: BLE001 (collected, raised below)
                failures.append(error)
        if failures:
            raise failures[0]
