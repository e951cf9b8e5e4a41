"""Descriptors of network namespaces that one batch of messages names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from xdpctl.host import netns


class Opened:
    """Opens each namespace once; for a `with` block, after which all are closed."""

    def __init__(self) -> None:
        self._found: dict[str, int] = {}
        self._home: int | None = None

    @contextmanager
    def home(self) -> Iterator[None]:
        """In the body, the topology's own namespace is the one that this thread is in now."""
        self._home = netns.present()
        try:
            yield
        finally:
            os.close(self._home)
            self._home = None

    def of(self, name: str) -> int:
        """A descriptor of the named namespace, or ("") of the topology's own."""
        if not name:
            assert self._home is not None, "a device moves home from another namespace only"
            return self._home
        if name not in self._found:
            self._found[name] = netns.opened(name)
        return self._found[name]

    def __enter__(self) -> None:
        """Nothing is open."""

    def __exit__(self, *_: object) -> None:
        for descriptor in self._found.values():
            os.close(descriptor)
        self._found.clear()
