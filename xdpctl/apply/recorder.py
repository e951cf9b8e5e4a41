"""Performs RecordNamespaces."""

from __future__ import annotations

from xdpctl.host import placement
from xdpctl.plan.operation import Operation
from xdpctl.plan.places import RecordNamespaces


class Recorder:
    """Writes down where devices are."""

    TYPES: tuple[type[Operation], ...] = (RecordNamespaces,)

    def perform(self, operation: Operation) -> None:
        """Wholly, or not at all: the map is pinned over the one before."""
        assert isinstance(operation, RecordNamespaces)
        placement.record(operation.netns, operation.topology, operation.after)

    def close(self) -> None:
        """Nothing is kept open."""
