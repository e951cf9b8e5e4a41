"""For all tests: Ctrl-C works, here and in processes that they start; the longest come first."""

from __future__ import annotations

import signal

import pytest

# A shell starts what it puts into the background with SIGINT ignored, and children inherit that:
# tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = ("tests/vm/", "tests/fault/", "tests/kernel/")
"""Each file is one process's (`--dist loadfile`): what takes minutes must not begin at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files, in a stable way."""
    items.sort(key=lambda item: next(
        (at for at, folder in enumerate(LONGEST) if item.nodeid.startswith(folder)), len(LONGEST)
    ))  # fmt: skip
