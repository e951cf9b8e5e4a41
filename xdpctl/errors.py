"""The error tree: every error that xdpctl raises on purpose.

    XdpctlError                 exit 1
    ├── TopologyError           the file is wrong; carries every Problem found, by file and line
    ├── NotPermitted            exit 77; the kernel wants a capability that the caller lacks
    ├── UsageError              exit 64; the command line is wrong
    ├── MissingError            a file, namespace, topology or device that was named does not exist
    ├── ConflictError           somebody else's device, program or pin is in the way
    ├── UnsupportedError        this kernel or driver cannot do what the file asks for
    ├── KernelError             the kernel refused an operation; carries its errno and own sentence
    │   └── VerifierError       … to load a program; knows which instruction it is about
    ├── LockedError             another run holds the lock; says who
    ├── StalePlanError          the host changed since the plan was saved
    ├── VerifyError             what was read back is not what was asked for; names every mismatch
    └── ApplyError              an operation failed; says which, why, and that all was rolled back

Only the command line exits or prints; everything below raises one of these.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar


class XdpctlError(Exception):
    """Base of all errors of xdpctl: a sentence for the user and, where there is one, the fix."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class TopologyError(XdpctlError):
    """The topology file is wrong; `problems` holds all that was found, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(XdpctlError):
    """The command line is wrong (EX_USAGE of sysexits.h)."""

    exit_code = 64


class NotPermitted(XdpctlError):  # noqa: N818 (reads as the kernel says it)
    """The kernel wants a capability that the caller lacks (EX_NOPERM of sysexits.h)."""

    exit_code = 77


class MissingError(XdpctlError):
    """Something that was named does not exist."""


class ConflictError(XdpctlError):
    """Somebody else's device, program or pin is in the way."""


class UnsupportedError(XdpctlError):
    """This kernel or driver cannot do what the file asks for."""


class KernelError(XdpctlError):
    """The kernel refused an operation.

    `errno` is the kernel's number; `reason` its own sentence (netlink extended ack, verifier log)
    where it gave one, else the C library's text for the number.
    """

    def __init__(self, operation: str, errno: int, reason: str = "") -> None:
        self.operation = operation
        self.errno = errno
        self.reason = reason or os.strerror(errno)
        super().__init__(f"{operation}: {self.reason}")


class VerifierError(KernelError):
    """The kernel's verifier refused a program.

    `instruction` is the index of the one that its complaint is about; None where it is about the
    program as a whole.
    """

    def __init__(
        self, operation: str, errno: int, reason: str, instruction: int | None, hint: str | None
    ) -> None:
        super().__init__(operation, errno, reason)
        self.instruction = instruction
        self.hint = hint


class LockedError(XdpctlError):
    """Another run holds the lock of this network namespace."""


class StalePlanError(XdpctlError):
    """The host changed since the plan was saved."""


class VerifyError(XdpctlError):
    """What was read back is not what was asked for."""


class ApplyError(XdpctlError):
    """An operation failed; what had been done was undone."""
