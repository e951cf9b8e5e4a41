"""A run's journal: what was done, and how all of it is undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdpctl.apply.interrupt import Interrupt
from xdpctl.apply.performer import Performers
from xdpctl.apply.undo import HalfDoneError
from xdpctl.errors import ApplyError, NotPermitted, XdpctlError
from xdpctl.plan.operation import Operation

Progress = Callable[[int, int, Sequence[Operation]], None]
"""Called with (done, of how many, the operations just begun: one batch)."""


class Journal:
    """Carries operations out and remembers them in order."""

    def __init__(self, performers: Performers) -> None:
        self._performers = performers
        self.done: list[Operation] = []

    def carry_out(
        self, operations: Sequence[Operation], interrupt: Interrupt, progress: Progress | None
    ) -> None:
        """Perform all; raises the first refusal, with everything that was done in the journal."""
        finished = 0
        for chunk in self._performers.chunks(operations):
            interrupt.check()
            if progress is not None:
                progress(finished, len(operations), chunk)
            self.record(chunk)
            finished += len(chunk)

    def record(self, chunk: Sequence[Operation]) -> None:
        """Perform one batch and note what of it the kernel did, wholly or perhaps in part."""
        outcomes = self._performers.perform(chunk)
        refusals = [error for error in outcomes if error is not None]
        for operation, error in zip(chunk, outcomes, strict=True):
            if error is None or operation.divisible:
                self.done.append(operation)
        if refusals:
            raise refusals[0]

    def undo(self) -> list[str]:
        """Undo everything, the last first; a sentence for each step back that failed."""
        steps = [step for operation in reversed(self.done) for step in operation.reverse()]
        self.done.clear()
        failed: list[str] = []
        for chunk in self._performers.chunks(steps):
            try:
                outcomes = self._performers.perform(chunk)
            except Exception as error:  # noqa: BLE001 (the rest must be undone all the same)
                failed.append(f"{chunk[0].summary()}: {error}")
                continue
            failed += [str(error) for error in outcomes if error is not None]
        return failed


def rolled_back(
    journal: Journal, cause: BaseException, mend: Callable[[], list[str]]
) -> XdpctlError:
    """Undo everything and give the error that says why, and whether that worked.

    `mend` repairs what no operation's reverse can, once all are back; what it returns failed.
    """
    half = cause.left if isinstance(cause, HalfDoneError) else ()
    began = bool(journal.done or half)
    failed = [*half, *journal.undo(), *mend()] if began else []
    said = str(cause) or type(cause).__name__
    if failed:
        left = "\n".join(f"  {sentence}" for sentence in failed)
        return ApplyError(f"{said}\nnot everything could be undone:\n{left}")
    undone = "everything done before was undone" if began else "nothing was changed"
    hint = cause.hint if isinstance(cause, XdpctlError) else None
    kind = NotPermitted if isinstance(cause, NotPermitted) else ApplyError
    return kind(f"{said}; {undone}", hint=hint)
