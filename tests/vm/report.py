"""A plugin of the pytest inside the guest: what came of each test, a line of JSON each.

    {"test": node id, "outcome": "passed", "seconds": 0.1, "text": ""}
    {"finished": exit status}

The lines go to the file that XDPCTL_VM_REPORT names: the guest's second serial port.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

REPORT = "XDPCTL_VM_REPORT"


def write(**fields: Any) -> None:
    """Write a line at once: the guest may not live to write another."""
    with open(os.environ[REPORT], "a", encoding="ascii") as report:
        report.write(json.dumps(fields) + "\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of a test that passed, what came of its body; of any other, the part that stopped it."""
    if report.when == "call" or not report.passed:
        text = report.longreprtext
        if report.skipped and isinstance(report.longrepr, tuple):
            text = report.longrepr[2]
        write(test=report.nodeid, outcome=report.outcome, seconds=report.duration, text=text)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that could not be read."""
    if report.failed:
        write(test=report.nodeid, outcome="failed", seconds=0, text=report.longreprtext)


def pytest_sessionfinish(exitstatus: int) -> None:
    """All tests ran."""
    sys.stdout.flush()
    write(finished=int(exitstatus))
