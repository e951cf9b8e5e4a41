"""BPF programs: load, run on a frame, open by id."""

from __future__ import annotations

import ctypes
import errno
from enum import Enum

from xdpctl.bpf import complaint, objects
from xdpctl.bpf.btf import FUNC_INFO, LINE_INFO, Debug
from xdpctl.bpf.libbpf import ProgLoadOpts, TestRunOpts, call, library, refusal
from xdpctl.errors import KernelError, NotPermitted, VerifierError
from xdpctl.record import record

LICENSE = b"Dual BSD/GPL"
LOG_SIZE = 1 << 20
BPF_F_XDP_HAS_FRAGS = 1 << 5


@record
class _Load:
    """How a flavour of program is loaded: enum bpf_prog_type, bpf_attach_type, flags."""

    type: int
    attach_type: int
    flags: int


class Flavour(Enum):
    """Where a program runs.

    XDP carries expected_attach_type BPF_XDP and the frags flag, as members of one prog_array
    must agree in both (kernel/bpf/core.c, __bpf_prog_map_compatible).
    """

    XDP = _Load(type=6, attach_type=37, flags=BPF_F_XDP_HAS_FRAGS)
    TC = _Load(type=3, attach_type=0, flags=0)


class Program(objects.Object):
    """A loaded program."""

    __slots__ = ("info",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.info = objects.program_info(fd)

    def run(
        self, frame: bytes, *, repeat: int = 1, context: bytes | None = None, room: int = 256
    ) -> TestRun:
        """Run on `frame` through BPF_PROG_TEST_RUN: no device, no packet sent, real counters.

        `context` is a struct xdp_md or __sk_buff to start from; `room` bytes more than the frame
        are given for what comes back. An XDP frame has at least 14 bytes.
        """
        answer = ctypes.create_string_buffer(len(frame) + room)
        options = TestRunOpts(
            sz=ctypes.sizeof(TestRunOpts),
            data_in=ctypes.cast(ctypes.c_char_p(frame), ctypes.c_void_p),
            data_size_in=len(frame),
            data_out=ctypes.cast(answer, ctypes.c_void_p),
            data_size_out=len(answer),
            repeat=repeat,
        )
        if context is not None:
            options.ctx_in = ctypes.cast(ctypes.c_char_p(context), ctypes.c_void_p)
            options.ctx_size_in = len(context)
        call("bpf_prog_test_run_opts", self.fd, ctypes.byref(options), operation="test run")
        return TestRun(options.retval, answer.raw[: options.data_size_out], options.duration)

    def bind(self, map_fd: int) -> None:
        """Tie a map that no instruction names to the program's life (BPF_PROG_BIND_MAP, 5.10)."""
        call("bpf_prog_bind_map", self.fd, map_fd, None, operation="bind map to program")


@record
class TestRun:
    """What came out: the program's return code, the frame, nanoseconds a run."""

    __test__ = False  # the name is the kernel's; pytest would collect it

    code: int
    frame: bytes
    nanoseconds: int


def load(instructions: bytes, flavour: Flavour, name: str, debug: Debug | None = None) -> Program:
    """Verify and load; raises VerifierError with what the verifier's log comes down to."""
    log = ctypes.create_string_buffer(LOG_SIZE)
    kind = flavour.value
    options = ProgLoadOpts(
        sz=ctypes.sizeof(ProgLoadOpts),
        expected_attach_type=kind.attach_type,
        prog_flags=kind.flags,
        log_buf=ctypes.cast(log, ctypes.c_void_p),
        log_size=LOG_SIZE,
    )
    btf = _load_btf(debug, options) if debug is not None else None
    result = library().bpf_prog_load(
        kind.type, objects.object_name(name), LICENSE, instructions, len(instructions) // 8,
        ctypes.byref(options),
    )  # fmt: skip
    if btf is not None:
        btf.close()
    if result < 0:
        raise _refused(f"load program {name}", -result, log.value.decode(errors="replace"))
    return Program(result)


def _refused(operation: str, number: int, log: str) -> KernelError | NotPermitted:
    if number == errno.EPERM or not log:
        return refusal(operation, number)
    reason = complaint.shortened(log)
    return VerifierError(
        operation, number, reason, complaint.instruction(reason), complaint.hint(reason)
    )


def _load_btf(debug: Debug, options: ProgLoadOpts) -> objects.Object:
    """Load the BTF and let the options refer to it."""
    fd = call("bpf_btf_load", debug.btf, len(debug.btf), None, operation="load BTF")
    options.prog_btf_fd = fd
    options.func_info = ctypes.cast(ctypes.c_char_p(debug.function), ctypes.c_void_p)
    options.func_info_rec_size = FUNC_INFO.size
    options.func_info_cnt = len(debug.function) // FUNC_INFO.size
    options.line_info = ctypes.cast(ctypes.c_char_p(debug.lines), ctypes.c_void_p)
    options.line_info_rec_size = LINE_INFO.size
    options.line_info_cnt = len(debug.lines) // LINE_INFO.size
    return objects.Object(fd)


def open_id(number: int) -> Program:
    """Open the program with this id; raises KernelError (ENOENT) where it is gone."""
    return Program(call("bpf_prog_get_fd_by_id", number, operation=f"open program {number}"))
