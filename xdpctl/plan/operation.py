"""Operations: what a plan is made of. Data only; `xdpctl.apply` performs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar, Literal

from xdpctl.record import record
from xdpctl.topology.model import Value

Op = Literal["create", "update", "replace", "delete", "attach", "detach"]


@record
class Difference:
    """A property's value on the host and in the file; None where that side has none."""

    before: Value | None
    after: Value | None


@record
class Action:
    """One line of a plan as the user reads it (the `actions` of the JSON contract)."""

    op: Op
    device: str
    changes: Mapping[str, Difference] = field(default_factory=dict)
    reason: str = ""


class Operation(ABC):
    """One step of an apply. Performed once, or undone by performing its `reverse()`.

    divisible  the kernel may have done a part of it when it refuses, so that its reverse is due
    """

    divisible: ClassVar[bool] = False

    @property
    def touched(self) -> frozenset[str]:
        """The links that may look otherwise by it although the kernel need not tell of it."""
        return frozenset()

    @abstractmethod
    def actions(self) -> tuple[Action, ...]:
        """The lines of the plan that this step stands for (none for the second half of a pair)."""

    @abstractmethod
    def reverse(self) -> tuple[Operation, ...]:
        """The steps that undo this one, in the order in which to perform them."""

    @abstractmethod
    def summary(self) -> str:
        """One line for progress and errors: `create macvlan web0 on eth0`."""
