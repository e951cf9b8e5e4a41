"""The ends of a policy that send a frame elsewhere: tx, redirect, userspace.

XDP sends raw frames: back out by the device that they came in by (XDP_TX), to a device (a DEVMAP)
or to an AF_XDP socket (an XSKMAP, by receive queue). A target that is not there drops the frame. At
tc ingress, where clones of broadcasts and frames of siblings come by, there is an skb: it is sent
by bpf_redirect; no socket of AF_XDP can take it, and it is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from xdpctl.bpf.asm import R0, R1, R2, R3, R6, R10, Assembler, W
from xdpctl.datapath.access import emit_lookup
from xdpctl.datapath.counter_map import CounterMap, emit_count
from xdpctl.datapath.layout import ENTRY
from xdpctl.policy.parse import Hook
from xdpctl.policy.record import TARGET
from xdpctl.record import record

XDP_DROP: Final = 1
XDP_TX, XDP_REDIRECT = 3, 4
TC_DROP, TC_REDIRECT = 2, 7
_RECEIVE_QUEUE = 16  # offset in struct xdp_md
FN_REDIRECT, FN_REDIRECT_MAP = 23, 51


@record
class WaysOut:
    """Where the numbers of targets lead to.

    devices  ifindex, by number
    sockets  descriptor of the XSKMAP, by number
    devmap   descriptor of the map that has the devices by number
    closed   nothing is sent anywhere: ifindexes are of another namespace than the program
    """

    devices: Mapping[int, int] = field(default_factory=dict)
    sockets: Mapping[int, int] = field(default_factory=dict)
    devmap: int = 0
    closed: bool = False

    def emit_xdp(self, asm: Assembler, counters: CounterMap) -> None:
        """The ends `tx`, `forwarded` and `redirected`, if the policies jump to them.

        `forwarded`: a user's program has said itself where the frame is to go.
        """
        _emit_forwarded(asm, counters, XDP_REDIRECT)
        if asm.is_used("tx"):
            asm.label("tx")
            emit_count(asm, counters)
            asm.mov(R0, XDP_TX)
            asm.exit()
        if not asm.is_used("redirected"):
            return
        asm.label("redirected")
        emit_count(asm, counters)
        asm.load(W, R2, R10, TARGET)
        for number in self.sockets:
            asm.jump("==", R2, number, f"sockets{number}")
        asm.map_fd(R1, self.devmap)
        asm.mov(R3, XDP_DROP)
        asm.call(FN_REDIRECT_MAP)
        asm.exit()
        for number, fd in self.sockets.items():
            asm.label(f"sockets{number}")
            asm.load(W, R2, R6, _RECEIVE_QUEUE)
            asm.map_fd(R1, fd)
            asm.mov(R3, XDP_DROP)
            asm.call(FN_REDIRECT_MAP)
            asm.exit()

    def emit_ends(self, asm: Assembler, counters: CounterMap, *others: str) -> None:
        """The same, and at last where frames are dropped: `dropped`, and uncounted `short` and the
        labels of `others`.
        """
        self.emit_xdp(asm, counters)
        if asm.is_used("dropped"):
            asm.label("dropped")
            emit_count(asm, counters)
        for label in ("short", *others):
            asm.label(label)
        asm.mov(R0, XDP_DROP)
        asm.exit()

    def emit_tc(self, asm: Assembler, counters: CounterMap, entries_fd: int) -> None:
        """The same at tc ingress; what is sent back goes out by the device that the entry tells.

        Goes to `drop` where there is no entry.
        """
        if self.closed:
            _emit_closed(asm, counters)
            return
        _emit_forwarded(asm, counters, TC_REDIRECT)
        if asm.is_used("tx"):
            asm.label("tx")
            emit_count(asm, counters)
            asm.load(W, R3, R6, Hook.TC.value.device)
            emit_lookup(asm, entries_fd, R3, "drop")
            asm.load(W, R1, R0, ENTRY.size - 4)
            asm.mov(R2, 0)
            asm.call(FN_REDIRECT)
            asm.exit()
        if not asm.is_used("redirected"):
            return
        asm.label("redirected")
        emit_count(asm, counters)
        asm.load(W, R2, R10, TARGET)
        for number in self.devices:
            asm.jump("==", R2, number, f"device{number}")
        asm.mov(R0, TC_DROP)
        asm.exit()
        for number, ifindex in self.devices.items():
            asm.label(f"device{number}")
            asm.mov(R1, ifindex)
            asm.mov(R2, 0)
            asm.call(FN_REDIRECT)
            asm.exit()


def _emit_closed(asm: Assembler, counters: CounterMap) -> None:
    """All the ends, counted as what was wanted, and dropped."""
    used = [label for label in ("forwarded", "tx", "redirected") if asm.is_used(label)]
    for label in used:
        asm.label(label)
    if used:
        emit_count(asm, counters)
        asm.mov(R0, TC_DROP)
        asm.exit()


def _emit_forwarded(asm: Assembler, counters: CounterMap, code: int) -> None:
    if asm.is_used("forwarded"):
        asm.label("forwarded")
        emit_count(asm, counters)
        asm.mov(R0, code)
        asm.exit()
