"""examples/userspace as it stands: its topology applied, its consumer a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.kernel.conftest import eventually
from tests.kernel.rig import STRANGER, Rig, raw_socket, rules, udp_frame, verdicts
from xdpctl.bpf import maps, pins
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

EXAMPLE = Path(__file__).parents[2] / "examples" / "userspace"
TEXT = (EXAMPLE / "userspace.yaml").read_text("utf-8")
EDITED = TEXT.replace("    rules:\n", "    rules:\n      - {name: all, action: count}\n")
REBUILT = TEXT.replace("    rules:\n", "    rules:\n" + "".join(
    f"      - {{name: r{n}, match: {{udp.dport: {n + 1}}}, action: pass}}\n" for n in range(40)
))  # fmt: skip
NETFLOW, IPFIX = 2055, 4739
PROBE = str(load_texts({"userspace.yaml": TEXT}).devices["probe0"].properties["address"])


@dataclass
class Watched:
    """The consumer's process, and its lines as they come."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def got(self) -> list[bytes]:
        """The frames so far."""
        return [bytes.fromhex(line.split()[3]) for line in self.lines]

    def listens(self, queues: int = 1) -> bool:
        """Whether it has taken its places in the map."""
        return eventually(lambda: sum("listening" in line for line in self.said) == queues)

    def has_more_lines_than(self, some: int) -> bool:
        """Whether that many have come, in the end."""
        return eventually(lambda: len(self.lines) > some)

    def end(self, by: int | None = None) -> int:
        """Wait until it has ended (by a signal): its exit code."""
        if by is not None:
            self.process.send_signal(by)
        return self.process.wait(10)


def reader(source: Iterator[str], into: list[str]) -> Thread:
    made = Thread(target=lambda: into.extend(source))
    made.start()
    return made


def started(rig: Rig, *arguments: str) -> subprocess.Popen[str]:
    """consumer.py, started as its documentation says."""
    return subprocess.Popen(
        [sys.executable, EXAMPLE / "consumer.py", *arguments, "--netns", rig.nic.name],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@contextmanager
def consuming(rig: Rig, *arguments: str, name: str = "capture") -> Iterator[Watched]:
    """consumer.py, and what it writes taken by threads."""
    with started(rig, name, *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        made = Watched(process)
        readers = [reader(process.stdout, made.lines), reader(process.stderr, made.said)]
        try:
            yield made
        finally:
            process.kill()
            for each in readers:
                each.join()


def sent(rig: Rig, *ports: int, to: str = PROBE, first: int = 0) -> list[bytes]:
    """Frames to these ports, no two alike."""
    frames = [
        udp_frame(to, port, daddr="10.0.0.1", saddr="10.0.0.99", payload=bytes([n]) * (20 + n))
        for n, port in enumerate(ports, first)
    ]
    for frame in frames:
        rig.senders["wire"].send(frame)
    return frames


def test_it_prints_exactly_the_frames_of_the_rule(rig: Rig) -> None:
    rig.apply(TEXT)
    with consuming(rig, "--count", "30", "--seconds", "60") as consumer:
        assert consumer.listens(), consumer.said
        sent(rig, *[9] * 3)
        expected = sent(rig, *[NETFLOW, IPFIX] * 10)
        sent(rig, *[NETFLOW] * 4, to=STRANGER)
        expected += sent(rig, *[IPFIX] * 10, first=40)
        assert consumer.end() == 0
    assert consumer.lines == [f"eth0 0 {len(frame)} {frame.hex()}\n" for frame in expected]
    assert consumer.said == ["listening on eth0 queue 0 (copy)\n", "30 frames, 0 lost\n"]
    probe = rig.show("userspace")["probe0"]
    assert verdicts(probe) == {"redirect": 30, "drop": 3}
    assert rules(probe)["flows"] == 30


def test_its_place_outlives_an_edit_and_a_rebuild(rig: Rig) -> None:
    """It reads on, from the same map, whichever pipeline is in force."""
    rig.apply(TEXT)
    pin = Path("/sys/fs/bpf/xdpctl") / rig.nic.name / "userspace" / "userspace-capture@eth0"
    before = pin.stat().st_ino
    with maps.Map(pins.open_pin(pin)) as sockets, consuming(rig) as consumer:
        assert consumer.listens()
        expected = sent(rig, *[NETFLOW] * 5)
        for step, text in enumerate((EDITED, TEXT, REBUILT, TEXT)):
            assert rig.apply(text).applied
            expected += sent(rig, *[NETFLOW] * 5, first=10 * step)
            assert pin.stat().st_ino == before
            with maps.Map(pins.open_pin(pin)) as now:
                assert now.info.id == sockets.info.id
        assert eventually(lambda: len(consumer.lines) >= len(expected))
        assert consumer.end(signal.SIGINT) == 0
    assert consumer.got() == expected
    assert consumer.said[-1] == "25 frames, 0 lost\n"


@contextmanager
def flowing(rig: Rig, frame: bytes) -> Iterator[None]:
    """The same frame again and again, from a thread, meanwhile; 20,000 times at most."""
    over = Event()

    def send() -> None:
        for _ in range(20_000):
            if over.is_set():
                return
            rig.senders["wire"].send(frame)

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cuts_no_frame_short(rig: Rig, by: signal.Signals) -> None:
    """Its lines are whole, and as many as it says, whatever the signal finds it at."""
    rig.apply(TEXT)
    frame = udp_frame(PROBE, NETFLOW, daddr="10.0.0.1", saddr="10.0.0.99")
    for some in range(0, 300, 30):
        with consuming(rig) as consumer:
            assert consumer.listens()
            with flowing(rig, frame):
                assert consumer.has_more_lines_than(some)
                assert consumer.end(by) == 0
        assert set(consumer.lines) == {f"eth0 0 {len(frame)} {frame.hex()}\n"}
        assert consumer.said[-1].startswith(f"{len(consumer.lines)} frames, ")


def test_a_second_signal_ends_one_that_is_stuck(rig: Rig) -> None:
    """As when its lines go to a pager that reads no further."""
    rig.apply(TEXT)
    with started(rig, "capture") as process:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        doing = Path(f"/proc/{process.pid}/wchan")
        with flowing(rig, udp_frame(PROBE, NETFLOW, daddr="10.0.0.1", saddr="10.0.0.99")):
            assert eventually(lambda: "pipe_write" in doing.read_text())
        process.send_signal(signal.SIGINT)
        assert not eventually(lambda: process.poll() is not None, 0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


def test_dropped_and_counted_while_nobody_listens(rig: Rig) -> None:
    rig.apply(TEXT)
    sent(rig, *[NETFLOW] * 4)
    with consuming(rig, "--seconds", "60") as consumer:
        assert consumer.listens()
        expected = sent(rig, *[NETFLOW] * 3)
        assert eventually(lambda: len(consumer.lines) == 3)
        assert consumer.end(signal.SIGTERM) == 0
    sent(rig, *[NETFLOW] * 2)
    assert consumer.got() == expected
    assert verdicts(rig.show("userspace")["probe0"]) == {"redirect": 9}


def test_every_queue_has_a_socket(rig: Rig) -> None:
    many = "numrxqueues 3 numtxqueues 3"
    rig.nic.ip(*f"link add eth1 {many} type veth peer name wire1 {many}".split())
    for device in ("eth1", "wire1"):
        rig.nic.ip("link", "set", device, "up")
    with rig.nic.entered():
        rig.senders["wire1"] = raw_socket("wire1")
    rig.apply(TEXT.replace("eth0", "eth1"))
    with consuming(rig, "--count", "60", "--seconds", "60") as consumer:
        assert consumer.listens(queues=3), consumer.said
        flows = []
        for number in range(60):
            udp = udp_frame(PROBE, NETFLOW, daddr="10.0.0.1", saddr=f"10.0.1.{number}")
            rig.senders["wire1"].send(udp)
            flows.append(udp)
        assert consumer.end() == 0
    assert sorted(consumer.got()) == sorted(flows)
    assert {line.split()[1] for line in consumer.lines} == {"0", "1", "2"}


def test_what_it_says_when_it_cannot(rig: Rig) -> None:
    rig.apply(TEXT)
    with consuming(rig, name="captrue") as consumer:
        assert consumer.end() == 1
    assert "no map userspace-captrue@ROOT" in "".join(consumer.said)
    with consuming(rig) as first, consuming(rig) as second:
        # Which of the two was first is chance: the other finds the queue taken.
        assert eventually(lambda: 1 in (first.process.poll(), second.process.poll()))
        assert eventually(lambda: any("busy" in line for line in first.said + second.said))


def test_it_ends_in_time(rig: Rig) -> None:
    rig.apply(TEXT)
    with consuming(rig, "--seconds", "0.3") as consumer:
        assert consumer.end() == 0
    assert consumer.said[-1] == "0 frames, 0 lost\n"
    with rig.nic.entered():
        assert socket.if_nametoindex("eth0")
