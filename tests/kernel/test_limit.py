"""Limits: as much as they say, for each device by itself, over every change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernel.inside import pipeline
from tests.kernel.rig import BROADCAST, DB, WEB, Rig, udp_frame, verdicts
from tests.kernel.test_actions import more
from xdpctl.bpf import maps, program
from xdpctl.bpf.asm import R0, R1, R7, R8, Assembler, W
from xdpctl.bpf.maps import MapType
from xdpctl.policy.limit import Bucket, cost_of, emit_limit, tolerance_of
from xdpctl.topology.model import Rate

pytestmark = [pytest.mark.kernel, pytest.mark.alone]

SECOND = 1_000_000_000
TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, xdp: {{mode: MODE}}}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up,
        xdp: {{policy: web}}}}
policies:
  web: {{default: drop, rules: [{{name: slow, match: {{udp.dport: 9000}}, action: RATE}}]}}
"""
HOURLY = "{limit: 1/hour, burst: 5}"


def of(rate: str, mode: str = "auto") -> str:
    return TEXT.replace("RATE", rate).replace("MODE", mode)


def listening(rig: Rig, text: str) -> Rig:
    rig.apply(text)
    for device in ("web0", "db0"):
        rig.listen(device, (9000,))
    return rig


def arrived(rig: Rig, count: int, *, to: str = WEB, device: str = "web0", **more: Any) -> int:
    rig.send(to, 9000, for_=device, count=count, **more)
    return rig.received().get((device, 9000), 0)


def slow(rig: Rig, device: str = "web0") -> dict[str, int]:
    """What `show` tells of the rule."""
    (row,) = (one for one in rig.show()[device]["xdp"]["rules"] if one["name"] == "slow")
    over = row["over"]
    return {"packets": row["packets"], "bytes": row["bytes"],
            "over": over["packets"], "over bytes": over["bytes"]}  # fmt: skip


# --- how much


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_burst_is_exact_and_what_is_over_is_dropped_and_shown(rig: Rig, mode: str) -> None:
    listening(rig, of(HOURLY, mode))
    before = verdicts(rig.show()["web0"])
    assert arrived(rig, 8) == 5
    shown = slow(rig)
    assert (shown["packets"], shown["over"]) == (8, 3)
    assert (shown["bytes"], shown["over bytes"]) == (8 * 60, 3 * 60)
    assert more(verdicts(rig.show()["web0"]), before) == {"pass": 5, "drop": 3}


def test_a_burst_of_bytes_is_exact(rig: Rig) -> None:
    listening(rig, of("{limit: 1 kbytes/hour, burst: 250}"))
    assert arrived(rig, 8) == 4, "frames of 60 bytes"
    assert arrived(rig, 3, payload=b"") == 0, "42 bytes are more than the 10 that are left"


def test_all_ways_in_share_one_bucket(rig: Rig) -> None:
    """From the wire, flooded, of a sibling: the pipeline and the backstop count together."""
    listening(rig, of("{limit: 1/hour, burst: 6}"))
    assert arrived(rig, 2) == 2
    assert arrived(rig, 2, to=BROADCAST) == 2
    assert arrived(rig, 5, by="db0") == 2
    assert arrived(rig, 5) == 0


def test_each_device_has_a_bucket_of_its_own(rig: Rig) -> None:
    listening(rig, of(HOURLY))
    assert arrived(rig, 8) == 5
    assert arrived(rig, 8, to=DB, device="db0") == 5
    assert (slow(rig)["over"], slow(rig, "db0")["over"]) == (3, 3)


# --- over changes

MORE_RULES = "".join(f"{{match: {{udp.dport: {n + 1}}}, action: pass}}, " for n in range(40))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace("rules: [", "rules: [{action: count}, "), id="edit"),
        pytest.param(lambda text: text.replace("rules: [", f"rules: [{MORE_RULES}"), id="rebuild"),
    ],
)
def test_a_change_gives_no_fresh_burst(rig: Rig, change: Callable[[str], str]) -> None:
    listening(rig, of(HOURLY))
    assert arrived(rig, 8) == 5
    text = change(of(HOURLY))
    assert rig.apply(text).applied
    assert arrived(rig, 8) == 0
    assert slow(rig)["over"] == 3 + 8
    assert arrived(rig, 8, to=DB, device="db0") == 5, "who has taken nothing has all of it"


@pytest.mark.parametrize("rate", ["{limit: 100/second}", "{limit: 1/hour, burst: 2000}"])
def test_a_limit_that_is_raised_lets_through_at_once(rig: Rig, rate: str) -> None:
    """The bucket was to be full again in hours by the old rate, not by the new one."""
    listening(rig, of("{limit: 1/day, burst: 5}"))
    assert arrived(rig, 8) == 5
    rig.apply(of(rate))
    arrived(rig, 1)
    if "second" in rate:
        time.sleep(0.2)
        assert arrived(rig, 3) > 0


def test_a_limit_that_is_lowered_holds(rig: Rig) -> None:
    listening(rig, of("{limit: 1/hour, burst: 100}"))
    assert arrived(rig, 8) == 8
    rig.apply(of(HOURLY))
    assert arrived(rig, 8) <= 5


# --- how exactly, at full speed on two CPUs


@pytest.mark.parametrize(
    ("rate", "unit", "per_second", "burst", "payload"),
    [
        ("{limit: 10/second, burst: 2}", "packets", 10, 2, 18),
        ("{limit: 1000/second, burst: 200}", "packets", 1000, 200, 18),
        ("{limit: 100000/second, burst: 20000}", "packets", 100_000, 20_000, 18),
        ("{limit: 1000000/second, burst: 200000}", "packets", 1_000_000, 200_000, 18),
        ("{limit: 10mbit, burst: 250000}", "bytes", 1_250_000, 250_000, 958),
        ("{limit: 1gbit, burst: 25000k}", "bytes", 125_000_000, 25_000_000, 958),
    ],
)
def test_two_cpus_get_what_the_limit_says(
    rig: Rig, rate: str, unit: str, per_second: int, burst: int, payload: int
) -> None:
    rig.apply(of(rate))
    frame = udp_frame(WEB, 9000, daddr="10.0.0.10", saddr="10.0.0.99", payload=bytes(payload))
    before = slow(rig)
    seconds = flood(pipeline(rig).program_id, frame, 2.0 if per_second == 10 else 1.0)
    after = slow(rig)
    offered = after[unit] - before[unit]
    over = "over" if unit == "packets" else "over bytes"
    passed = offered - (after[over] - before[over])
    expected = burst + per_second * seconds
    least = len(frame) if unit == "bytes" else 1  # the last one may not fit any more
    assert offered > 2 * expected, "the limit was not reached"
    assert abs(passed - expected) <= max(0.05 * expected, least)


def flood(number: int, frame: bytes, seconds: float) -> float:
    """Run the program on two CPUs as fast as it goes; how long that took."""
    start, stop = threading.Barrier(3), threading.Event()
    cpus = sorted(os.sched_getaffinity(0))[:2]

    def run(cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})  # this thread alone
        with program.open_id(number) as opened:
            start.wait()
            while not stop.is_set():
                opened.run(frame, repeat=50_000)

    threads = [threading.Thread(target=run, args=(cpus[n % len(cpus)],)) for n in range(2)]
    for each in threads:
        each.start()
    begun = time.monotonic()
    start.wait()
    stop.wait(seconds)
    stop.set()
    for each in threads:
        each.join()
    return time.monotonic() - begun


# --- the same in Python


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    unit=st.sampled_from(["packets", "bytes"]),
    amount=st.integers(1, 10**9),
    period=st.sampled_from([1, 60, 3600, 86400]),
    burst=st.integers(1, 10**5),
    frames=st.lists(st.tuples(st.integers(14, 1500), st.sampled_from([0, 0, 0, 0.001]))),
)
def test_the_kernel_and_the_bucket_agree(
    unit: Any, amount: int, period: int, burst: int, frames: list[tuple[int, float]]
) -> None:
    """The kernel's clock is this process's: each step is one that the bucket could have done."""
    if os.geteuid():
        pytest.skip("needs root")
    rate = Rate(unit, amount, period * SECOND, burst)
    with maps.create(MapType.ARRAY, 4, 8, 1, "limits") as limits, limiting(rate, limits) as loaded:
        bucket, due = Bucket(rate), 0
        for length, pause in frames:
            time.sleep(pause)
            begin = time.monotonic_ns()
            passed = loaded.run(bytes(length)).code == 2
            end = time.monotonic_ns()
            value = limits.lookup(bytes(4)) or b""
            now = int.from_bytes(value, "little")
            price = (cost_of(rate).number * (length if unit == "bytes" else 1)) >> cost_of(
                rate
            ).fraction
            idle = passed and now != due + price  # the bucket was full: its time tells the clock's
            moment = now - price if idle else end if passed else begin
            assert begin <= moment <= end
            assert bucket.takes(moment, length) == passed
            due = now if passed else due
            assert now == due


@pytest.mark.parametrize("unit", ["packets", "bytes"])
def test_a_bucket_that_another_rate_left_is_empty(unit: Any) -> None:
    """To be full again in an hour, which by this rate takes no bucket."""
    rate, hour = Rate(unit, 5000, SECOND, 500), 3600 * SECOND
    with maps.create(MapType.ARRAY, 4, 8, 1, "limits") as limits, limiting(rate, limits) as loaded:
        before = time.monotonic_ns()
        limits.update(bytes(4), (before + hour).to_bytes(8, "little"))
        assert loaded.run(bytes(64)).code == 1
        found = int.from_bytes(limits.lookup(bytes(4)) or b"", "little") - tolerance_of(rate)
        assert before <= found <= time.monotonic_ns()
        time.sleep(0.05)
        assert loaded.run(bytes(64)).code == 2


def limiting(rate: Rate, limits: maps.Map) -> program.Program:
    """A program that passes what is within the limit."""
    asm = Assembler()
    asm.load(W, R7, R1, 4)  # struct xdp_md: data_end less data
    asm.load(W, R1, R1, 0)
    asm.sub(R7, R1)
    asm.mov(R8, 0)
    emit_limit(asm, rate, 0, limits.fd, "over")
    asm.mov(R0, 2)
    asm.exit()
    asm.label("over")
    asm.mov(R0, 1)
    asm.exit()
    return program.load(asm.assemble(), program.Flavour.XDP, "limiting")
