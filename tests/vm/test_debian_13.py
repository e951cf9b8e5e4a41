"""The same on the kernel of Debian 13; in a file of its own, so that another process boots it."""

from __future__ import annotations

import pytest

from tests.vm import suite
from tests.vm.guests import passes

pytestmark = pytest.mark.kernel


def test_on_linux_6_12(subtests: pytest.Subtests) -> None:
    passes("6.12", suite.DIFFERING, subtests)
