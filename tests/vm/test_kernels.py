"""The tests of guest/, and the datapath's, on Debian's own kernels (see README.md)."""

from __future__ import annotations

import os

import pytest

from tests.vm import kernels, suite
from tests.vm.errors import UnavailableError

pytestmark = pytest.mark.kernel

LONG = bool(os.environ.get("XDPCTL_LONG"))
SERIES = (
    {"6.1": suite.TESTS, "6.12": suite.TESTS}
    if LONG
    else {"6.1": suite.USUAL, "6.12": suite.DIFFERING}
)
"""What runs on which kernel."""
SECONDS = 2700


@pytest.mark.parametrize("series", SERIES)
def test_on_debians_kernel(series: str, subtests: pytest.Subtests) -> None:
    """Each test of the guest is a subtest here."""
    if os.geteuid():
        pytest.skip("needs root")
    try:
        done = suite.run(kernels.debian(series), SERIES[series], seconds=SECONDS)
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
