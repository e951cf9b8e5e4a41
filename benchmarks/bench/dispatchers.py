"""Who drops the frames of a fleet: xdpctl, what one writes first, what is there without either.

Each has a namespace with a NIC of its own, and a sender of random destination addresses.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measure import XDPCTL, namespace, run

from bench.alone import XDP_DROP, XDP_PASS, compile_alone
from bench.contenders import verdict
from bench.counters import all_packets, nft_packets
from bench.driver import Drops, enable_gro
from bench.fleet import NIC, WIRE, Fleet, nft_chain
from bench.frames import DESTINATION, datagram
from bench.rules import LAST, PORT
from bench.sender import Sender, nanoseconds
from xdpctl.bpf import links, maps, program
from xdpctl.bpf.asm import DW, R0, R1, R2, R6, R7, R10, Assembler, H, W
from xdpctl.datapath import counter_map
from xdpctl.datapath.counter_map import Counted, CounterMap
from xdpctl.host import netns
from xdpctl.topology import load

_IP6: Final = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
BLOCK: Final = 16
"""Counters of a device, of the programs that are compiled alone."""
_FN_MAP_LOOKUP: Final = 1
_KEY: Final = -8
_ONE, _MANY = Fleet(1, 1), Fleet(4096, 1)


@dataclass
class Contender:
    """One who drops frames and counts them.

    share    how many times fewer frames it is sent, as it is slow
    check    compares all that it was sent with what its own counters say
    """

    name: str
    netns: str
    sender: Sender
    counted: Callable[[], int]
    share: int = 1
    check: Callable[[int], None] = lambda _: None
    sent: int = 0

    def rate(self, frames: int) -> float:
        """Million frames a second."""
        count = frames // self.share
        with netns.entered(self.netns):
            taken = nanoseconds(self.sender, count, self.counted, self.name)
        self.sent += count
        return 1e3 / taken


@contextmanager
def _wired(suffix: str, fleet: Fleet) -> Iterator[tuple[str, Sender]]:
    """A namespace that this thread is in, where nothing sends frames of its own accord."""
    with namespace(suffix) as name, netns.entered(name):
        if _IP6.exists():
            _IP6.write_text("1", "ascii")
        addresses = fleet.random_addresses()
        template = datagram(addresses[0], PORT)
        with Sender(template, DESTINATION, addresses, socket.if_nametoindex(WIRE)) as sender:
            yield name, sender


@contextmanager
def _attached(one: program.Program, device: str, mode: int) -> Iterator[None]:
    with links.create(one.fd, socket.if_nametoindex(device), links.Hook.XDP, mode):
        yield


@contextmanager
def lone() -> Iterator[Contender]:
    """A program that drops every frame, counted by the driver: what nobody can surpass.

    It is sent random addresses, too, although it looks at nothing.
    """
    with (
        _wired("lone", _MANY) as (name, sender),
        verdict(XDP_DROP) as dropping,
        _attached(dropping, NIC, links.XDP_FLAGS_DRV_MODE),
        Drops(NIC) as drops,
    ):
        yield Contender("lone XDP_DROP", name, sender, drops)


@contextmanager
def xdpctl(fleet: Fleet, folder: Path) -> Iterator[Contender]:
    """The fleet's topology applied; `xdpctl show` must have counted all on the right devices."""
    with _wired(fleet.name, fleet) as (name, sender):
        run(*XDPCTL, "--netns", name, "apply", "--yes", fleet.write(folder))
        try:
            with Drops(NIC) as drops:
                yield Contender(
                    f"xdpctl {fleet.name}", name, sender, drops,
                    check=lambda sent: _check_shown(fleet, name, sent),
                )  # fmt: skip
        finally:
            _forget_qdiscs(fleet, name)


def _forget_qdiscs(fleet: Fleet, name: str) -> None:
    """Of the newest devices first, which is all that this is for: they go with the devices, too.

    The kernel keeps all ingress qdiscs of the machine in one list, the newest first, and walks it
    to find one that goes (flow_indr_dev_setup_offload). With the NIC the oldest goes first.
    """
    lines = [f"qdisc delete dev {device} clsact" for device in fleet.names()]
    batch = "\n".join(reversed(lines)) + "\n"
    command = ["tc", "-n", name, "-force", "-batch", "-"]
    subprocess.run(command, input=batch, capture_output=True, text=True, check=False)


def _check_shown(fleet: Fleet, name: str, sent: int) -> None:
    """Every device has dropped its share, by the last rule of its policy."""
    shown = json.loads(run(*XDPCTL, "--netns", name, "-o", "json", "show", fleet.name).stdout)
    share = sent // fleet.devices
    for device in fleet.names():
        found = shown["devices"][device]["xdp"]
        rule = next(each["packets"] for each in found["rules"] if each["name"] == LAST)
        got = found["verdicts"]["drop"]["packets"], rule
        if got != (share, share):
            raise SystemExit(
                f"{fleet.name}, {device}: {share} frames were sent; xdpctl counted {got[0]} "
                f"dropped, {got[1]} by rule {LAST}"
            )


@contextmanager
def tail_calls(fleet: Fleet, folder: Path) -> Iterator[Contender]:
    """What one writes first: a hash finds the device's number, a tail call its program."""
    policies = load.load([fleet.write(folder)]).policies
    with ExitStack() as stack:
        enter = stack.enter_context
        name, sender = enter(_wired(f"calls{fleet.devices}", fleet))
        count = fleet.devices
        counters = enter(counter_map.create(count * BLOCK, "bench_counters"))
        counting = CounterMap.of(counters, count * BLOCK)
        array = enter(maps.create(maps.MapType.PROG_ARRAY, 4, 4, count, "bench_programs"))
        numbers = enter(maps.create(maps.MapType.HASH, 8, 4, count, "bench_numbers"))
        alone = [
            compile_alone(policies[f"p{number}"], counting) for number in range(fleet.policies)
        ]
        for number, address in enumerate(fleet.addresses()):
            code = alone[number // fleet.share].counting_from(number * BLOCK)
            with program.load(code, program.Flavour.XDP, "bench_policy") as each:
                array.update(number.to_bytes(4, "little"), each.fd.to_bytes(4, "little"))
            numbers.update(address + bytes(2), number.to_bytes(4, "little"))
        code = _dispatcher(numbers.fd, array.fd)
        first = enter(program.load(code, program.Flavour.XDP, "bench_dispatch"))
        enter(_attached(first, NIC, links.XDP_FLAGS_DRV_MODE))
        # A frame is counted by its rule alone or, of the default, by a counter of its own.
        yield Contender(
            f"hash, tail call {count}", name, sender, enter(Drops(NIC)), share=2,
            check=lambda sent: _check_counters(counters, count, sent),
        )  # fmt: skip


def _check_counters(counters: maps.Map, devices: int, sent: int) -> None:
    """Every device's program has counted its share."""
    counted = Counted(counters)
    for device in range(devices):
        block = range(device * BLOCK, (device + 1) * BLOCK)
        got = sum(counted[number].packets for number in block)
        if got != sent // devices:
            raise SystemExit(
                f"hash, tail call: device {device} counted {got} of {sent // devices} frames"
            )


def _dispatcher(numbers_fd: int, array_fd: int) -> bytes:
    """The destination address is the key; a frame of nobody passes."""
    asm = Assembler()
    asm.mov(R6, R1)
    asm.load(W, R7, R6, 0)
    asm.load(W, R2, R6, 4)
    asm.mov(R1, R7)
    asm.add(R1, 14)
    asm.jump(">", R1, R2, "nobody")
    asm.load(W, R1, R7, 0)
    asm.load(H, R2, R7, 4)
    asm.lsh(R2, 32)
    asm.or_(R1, R2)
    asm.store(DW, R10, _KEY, R1)
    asm.map_fd(R1, numbers_fd)
    asm.mov(R2, R10)
    asm.add(R2, _KEY)
    asm.call(_FN_MAP_LOOKUP)
    asm.jump("==", R0, 0, "nobody")
    asm.load(W, R7, R0, 0)
    asm.tail_call(R6, array_fd, R7)
    asm.label("nobody")
    asm.mov(R0, XDP_PASS)
    asm.exit()
    return asm.assemble()


@contextmanager
def generic(folder: Path) -> Iterator[Contender]:
    """The same policy as generic XDP on the macvlan."""
    policy = load.load([_ONE.write(folder)]).policies["p0"]
    with ExitStack() as stack:
        enter = stack.enter_context
        name, sender = enter(_wired("generic", _ONE))
        enable_gro(NIC)
        run("ip", "-batch", "-", stdin=_ONE.batch())
        counters = enter(counter_map.create(BLOCK, "bench_counters"))
        code = compile_alone(policy, CounterMap.of(counters, BLOCK)).code
        alone = enter(program.load(code, program.Flavour.XDP, "bench_policy"))
        enter(_attached(alone, next(_ONE.names()), links.XDP_FLAGS_SKB_MODE))
        yield Contender("generic XDP on it", name, sender, lambda: all_packets(counters), 4)


@contextmanager
def nftables(folder: Path) -> Iterator[Contender]:
    """The same rules in a chain on the macvlan's ingress hook."""
    with _wired("nft", _ONE) as (name, sender):
        enable_gro(NIC)
        run("ip", "-batch", "-", stdin=_ONE.batch())
        file = folder / "bench.nft"
        file.write_text(nft_chain(0, next(_ONE.names())), "ascii")
        run("ip", "netns", "exec", name, "nft", "-f", str(file))
        yield Contender("nft on its ingress", name, sender, lambda: nft_packets(f"rule_{LAST}"), 4)
