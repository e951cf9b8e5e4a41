"""One boot of a distribution's kernel for all tests that run in it, seen from outside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import pytest

from tests.vm import kernels, suite
from tests.vm.errors import UnavailableError

LONG: Final = bool(os.environ.get("XDPCTL_LONG"))
SECONDS: Final = 2700


def passes(series: str, usual: Sequence[str], subtests: pytest.Subtests) -> None:
    """Each test of the guest is a subtest here; `usual` are those that run without XDPCTL_LONG."""
    if os.geteuid():
        pytest.skip("needs root")
    try:
        chosen = suite.TESTS if LONG else usual
        done = suite.run(kernels.debian(series), chosen, seconds=SECONDS)
    except UnavailableError as error:
        pytest.skip(f"NOT TESTED ON LINUX {series}: {error}")
    for result in done.results:
        with subtests.test(result.test):
            if result.outcome == "skipped":
                pytest.skip(result.text)
            if result.outcome != "passed":
                pytest.fail(result.text, pytrace=False)
    assert not done.broken, done.broken
    assert any(result.outcome == "passed" for result in done.results)
