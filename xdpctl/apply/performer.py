"""Who performs which operation: the table, and what a performer is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from xdpctl.errors import XdpctlError
from xdpctl.plan.operation import Operation


class Performer(Protocol):
    """Performs operations of some types. Made for one run; may keep descriptors until its end."""

    def perform(self, operation: Operation) -> None:
        """Do it wholly, or raise with nothing done (but see `Operation.divisible`)."""

    def close(self) -> None:
        """The run has ended: give back what was kept."""


class Batching(Performer, Protocol):
    """A performer to which several operations at once cost less than one by one."""

    def cut(self, operations: Iterable[Operation]) -> Iterator[list[Operation]]:
        """The operations in their order, cut into batches."""

    def perform_all(self, operations: Sequence[Operation]) -> list[XdpctlError | None]:
        """Try all of them; the outcome of each, in order."""


class Performers:
    """A run's performers by type of operation. To one without batches, each operation is one."""

    def __init__(self, table: dict[type[Operation], Performer]) -> None:
        self._table = table

    def chunks(self, operations: Sequence[Operation]) -> list[list[Operation]]:
        """The operations in their order, cut into batches."""
        result: list[list[Operation]] = []
        for performer, run in groupby(operations, lambda one: self._table[type(one)]):
            batching = _batching(performer)
            cut = batching.cut if batching is not None else _each_alone
            result += cut(run)
        return result

    def perform(self, chunk: Sequence[Operation]) -> list[XdpctlError | None]:
        """Try every operation of a batch; the outcome of each, in order."""
        performer = self._table[type(chunk[0])]
        batching = _batching(performer)
        if batching is not None:
            return batching.perform_all(chunk)
        (operation,) = chunk
        try:
            performer.perform(operation)
        except XdpctlError as error:
            return [error]
        return [None]

    def close(self) -> None:
        """Close every performer once."""
        for performer in {id(one): one for one in self._table.values()}.values():
            performer.close()


def _each_alone(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    for operation in operations:
        yield [operation]


def _batching(performer: Performer) -> Batching | None:
    return performer if hasattr(performer, "perform_all") else None  # type: ignore[return-value]
