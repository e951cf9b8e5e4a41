"""The three that do the same: xdpctl's pipeline, a C program, nftables; set up from a workload.

xdpctl's policy also stands alone, without the dispatch to the device: what that costs is between.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import XDPCTL, run

from bench.alone import compile_alone
from bench.workload import Workload
from xdpctl.bpf import maps, pins, program
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.maps import Map
from xdpctl.bpf.program import Program
from xdpctl.datapath import counter_map, set_maps
from xdpctl.datapath.counter_map import CounterMap
from xdpctl.datapath.map_names import COUNTERS
from xdpctl.policy.bindings import Bindings
from xdpctl.policy.set_layout import bitmap, keys, layout
from xdpctl.topology import load
from xdpctl.topology.model import Topology

SOURCE = Path(__file__).parents[1] / "policy.bpf.c"


@dataclass
class Loaded:
    """A program, its counters, and the seconds that it took to set it up."""

    program: Program
    counters: Map
    seconds: float


@contextmanager
def xdpctl(workload: Workload, folder: Path, netns: str, device: str) -> Iterator[Loaded]:
    """The topology applied, its pipeline opened."""
    file = str(workload.write_topology(folder))
    command = [*XDPCTL, "--netns", netns]
    start = time.perf_counter()
    run(*command, "apply", "--yes", file)
    seconds = time.perf_counter() - start
    try:
        (link,) = json.loads(run("ip", "-n", netns, "-j", "link", "show", device).stdout)
        with ExitStack() as stack:
            loaded = stack.enter_context(program.open_id(link["xdp"]["prog"]["id"]))
            opened = maps.open_named(loaded.info.map_ids)
            for each in opened.values():
                stack.callback(each.close)
            yield Loaded(loaded, opened[COUNTERS], seconds)
    finally:
        run(*command, "destroy", "bench")


def rule_packets(netns: str) -> dict[str, int]:
    """What `xdpctl show` says that each rule of the device has counted, and its drops in all."""
    shown = json.loads(run(*XDPCTL, "--netns", netns, "-o", "json", "show", "bench").stdout)
    found = shown["devices"]["web0"]["xdp"]
    counted = {rule["name"]: int(rule["packets"]) for rule in found["rules"]}
    return counted | {"drop": int(found["verdicts"]["drop"]["packets"])}


@contextmanager
def policy_alone(topology: Topology) -> Iterator[Loaded]:
    """The policy behind the same parse and with the same counters, but for any frame."""
    policy = topology.policies["web"]
    with ExitStack() as stack:
        sets = {}
        for name, found in topology.sets.items():
            with set_maps.create_entries(found) as entries:
                sets[name] = stack.enter_context(set_maps.create_array(entries, name))
        counted = stack.enter_context(counter_map.create(1024, "bench_counters"))
        counters = CounterMap.of(counted, 1024)
        limits = stack.enter_context(maps.create(maps.MapType.ARRAY, 4, 8, 64, "bench_limits"))
        bindings = Bindings(sets={name: one.fd for name, one in sets.items()}, limits=limits.fd)
        code = compile_alone(policy, counters, bindings).code
        start = time.perf_counter()
        loaded = program.load(code, program.Flavour.XDP, "bench_policy")
        stack.enter_context(loaded)
        yield Loaded(loaded, counted, time.perf_counter() - start)


def verdict(code: int, flavour: program.Flavour = program.Flavour.XDP) -> Program:
    """A program that says the same of every frame."""
    asm = Assembler()
    asm.mov(R0, code)
    asm.exit()
    return program.load(asm.assemble(), flavour, "bench_verdict")


@contextmanager
def written_in_c(workload: Workload, topology: Topology, folder: Path) -> Iterator[Loaded]:
    """The C program, compiled by clang and loaded by bpftool; its set filled."""
    lines = [f"#define {name} {value}\n" for name, value in workload.defines.items()]
    (folder / "workload.h").write_text("".join(lines), "ascii")
    code, pinned = folder / "policy.bpf.o", pins.BPFFS / f"xdpctl-bench-{os.getpid()}"
    start = time.perf_counter()
    run(
        "clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", f"-I{folder}",
        f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", str(SOURCE), "-o", str(code),
    )  # fmt: skip
    try:
        run("bpftool", "prog", "load", str(code), str(pinned), "type", "xdp")
        with ExitStack() as stack:
            loaded = stack.enter_context(Program(pins.open_pin(pinned)))
            opened = maps.open_named(loaded.info.map_ids)
            for each in opened.values():
                stack.callback(each.close)
            for found in topology.sets.values():
                if layout(found).shape == "bitmap":
                    opened["entries"].update(bytes(4), bitmap(found))
                else:
                    width = opened["entries"].info.key_size
                    packed = padded(keys(found), layout(found).key_bytes, width)
                    opened["entries"].update_batch(packed, b"\1" * len(found))
            yield Loaded(loaded, opened["counters"], time.perf_counter() - start)
    finally:
        pinned.unlink(missing_ok=True)


def padded(packed: bytes, size: int, width: int) -> bytes:
    """Keys of `size` bytes with zeros behind each: a struct of C ends at its alignment."""
    if size == width:
        return packed
    zeros = bytes(width - size)
    return b"".join(packed[at : at + size] + zeros for at in range(0, len(packed), size))


@contextmanager
def nftables(workload: Workload, folder: Path, netns: str, device: str) -> Iterator[float]:
    """The ruleset in force; the seconds that `nft -f` took."""
    file = str(workload.write_nft(folder, device))
    start = time.perf_counter()
    run("ip", "netns", "exec", netns, "nft", "-f", file)
    seconds = time.perf_counter() - start
    try:
        yield seconds
    finally:
        run("ip", "netns", "exec", netns, "nft", "delete", "table", "netdev", "bench")


def missing_tools() -> list[str]:
    """Of the commands that are run."""
    return [name for name in ("clang", "bpftool", "nft", "ip") if shutil.which(name) is None]


def read_topology(folder: Path, workload: Workload) -> Topology:
    """The workload's topology as xdpctl reads it."""
    return load.load([str(workload.write_topology(folder))])
