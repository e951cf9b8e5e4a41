"""The tests of guest/, and the datapath's, on the kernel of Debian 12 (see README.md)."""

from __future__ import annotations

import pytest

from tests.vm import suite
from tests.vm.guests import passes

pytestmark = pytest.mark.kernel


def test_on_linux_6_1(subtests: pytest.Subtests) -> None:
    passes("6.1", suite.USUAL, subtests)
