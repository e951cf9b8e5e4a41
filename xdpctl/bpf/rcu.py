"""Waiting until no CPU runs a program that was just replaced."""

from __future__ import annotations

import ctypes

_SYS_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_MEMBARRIER_CMD_GLOBAL = 1


def wait_for_readers() -> None:
    """Wait for an RCU grace period: membarrier(MEMBARRIER_CMD_GLOBAL) is synchronize_rcu().

    Programs run inside RCU read-side sections, so afterwards none is left in the old one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_SYS_MEMBARRIER[_machine()], _MEMBARRIER_CMD_GLOBAL, 0, 0)


def _machine() -> str:
    import platform  # here, for start-up's sake: only a rebuild of tables waits

    return platform.machine()
