"""System calls that Python has no function for, or not in every version that is supported."""

from __future__ import annotations

import ctypes
import os
from functools import cache

_SYS_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_MEMBARRIER_CMD_GLOBAL = 1


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def setns(descriptor: int, kind: int) -> None:
    """Move this thread into the namespace of a descriptor (os.setns of Python 3.12)."""
    if _libc().setns(descriptor, kind) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def wait_for_readers() -> None:
    """Wait for an RCU grace period: membarrier(MEMBARRIER_CMD_GLOBAL) is synchronize_rcu().

    Programs run inside RCU read-side sections, so afterwards none is left in one that was
    replaced before.
    """
    _libc().syscall(_SYS_MEMBARRIER[os.uname().machine], _MEMBARRIER_CMD_GLOBAL, 0, 0)
