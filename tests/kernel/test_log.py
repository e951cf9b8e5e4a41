"""`log` and `xdpctl trace --live`: samples of live frames, few of them, at nobody's cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kernel.conftest import Netns, eventually
from tests.kernel.rig import BROADCAST, DB, WEB, Rig, command, rules
from tests.kernel.test_actions import frame

pytestmark = pytest.mark.kernel

TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, xdp: {{mode: MODE, policy: guard}}}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up}}
policies:
  guard: {{rules: [{{name: outer, match: {{udp.dport: 9009}}, action: log}}]}}
  web:
    default: drop
    rules:
      - {{name: look, match: {{udp.dport: [9000, 9001]}}, action: log}}
      - {{name: only, match: {{udp.dport: [9000, 9009]}}, action: pass}}
"""
LONGEST = 96


def listening(rig: Rig, mode: str = "auto", text: str = TEXT) -> Rig:
    rig.apply(text.replace("MODE", mode))
    rig.listen("web0", (9000, 9001, 9009))
    rig.listen("db0")
    return rig


class Tracer:
    """`xdpctl trace --live` in a process of its own, and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.process = process
        self._out = process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._text = b""

    def samples(self) -> list[dict[str, Any]]:
        try:
            while found := os.read(self._out, 1 << 16):
                self._text += found
        except BlockingIOError:
            pass
        return [json.loads(line) for line in self._text.splitlines() if line.endswith(b"}")]

    def has(self, count: int) -> list[dict[str, Any]]:
        """The samples, once there are so many."""
        assert eventually(lambda: len(self.samples()) >= count), self.samples()
        return self.samples()


@contextmanager
def tracing(nic: Netns, *arguments: str) -> Iterator[Tracer]:
    """Begins when it listens."""
    whole = [sys.executable, "-m", "xdpctl", "--netns", nic.name, "-o", "json"]
    with subprocess.Popen(
        [*whole, "trace", "edge", "--live", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert b"listening" in said, said + process.stderr.read()
            time.sleep(0.3)  # it says so a moment before
            yield Tracer(process)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("mode", "by", "to", "port", "expected"),
    [
        ("native", "wire", WEB, 9000, ("web0", "dispatched", "web", "look")),
        ("native", "wire", BROADCAST, 9001, ("web0", "backstop", "web", "look")),
        ("native", "db0", WEB, 9000, ("web0", "backstop", "web", "look")),
        ("native", "wire", WEB, 9009, ("eth0", "native", "guard", "outer")),
        ("generic", "wire", WEB, 9009, ("eth0", "generic", "guard", "outer")),
        ("generic", "wire", WEB, 9001, ("web0", "backstop", "web", "look")),
    ],
)
def test_a_sample_tells_where_by_what_and_its_bytes(
    rig: Rig, mode: str, by: str, to: str, port: int, expected: tuple[str, ...]
) -> None:
    listening(rig, mode)
    sent = [frame(to, port, bytes([n]) * (18 + 100 * n)) for n in range(3)]
    with tracing(rig.nic, "--count", "3") as tracer:
        before = time.monotonic_ns()
        for each in sent:
            rig.senders[by].send(each)
        found = tracer.has(3)
        assert tracer.process.wait(10) == 0
    for sample, each in zip(found, sent, strict=True):
        keys = ("device", "layer", "policy", "rule")
        assert tuple(sample[key] for key in keys) == expected
        assert (sample["format"], sample["length"]) == (1, len(each))
        assert bytes.fromhex(sample["hex"]) == each[:LONGEST]
        assert f":{port}" in sample["packet"]
        assert before < sample["nanoseconds"] < time.monotonic_ns()


@pytest.mark.parametrize(
    ("match", "ports"),
    [
        ("udp.dport: 9001", [9001]),
        ("{udp.dport: '!9001'}", [9000, 9009]),
        ("meta.length: 342", [9009]),
        ("meta.length: 0-341", [9000, 9001]),
        ("ip4.saddr: 10.0.0.0/24, ether.daddr: " + WEB, [9000, 9001, 9009]),
        ("tcp.dport: 9000", []),
    ],
)
def test_match_filters(rig: Rig, match: str, ports: list[int]) -> None:
    listening(rig)
    with tracing(rig.nic, "--match", match, "--seconds", "2") as tracer:
        for port, size in ((9000, 18), (9001, 18), (9009, 300)):
            rig.senders["wire"].send(frame(WEB, port, bytes(size)))
        tracer.has(len(ports))
        assert tracer.process.wait(10) == 0
        found = [int(one["packet"].split(":")[-1].split()[0]) for one in tracer.samples()]
    assert sorted(found) == ports


def test_ten_a_second_of_each_rule(rig: Rig) -> None:
    """And every frame goes its way, whether it is shown or not."""
    text = TEXT.replace(
        "      - {name: only", "      - {name: too, action: log}\n      - {name: only"
    )
    listening(rig, text=text)
    before = rules(rig.show()["web0"])
    with tracing(rig.nic) as tracer:
        start = time.monotonic()
        rig.send(WEB, 9000, for_="web0", count=200)
        assert rig.received() == {("web0", 9000): 200}
        tracer.has(20)
        most = 10 + 10 * (time.monotonic() - start) + 1
        shown = Counter(one["rule"] for one in tracer.samples())
    assert shown.keys() == {"look", "too"}
    assert all(10 <= count <= most for count in shown.values()), shown
    after = rules(rig.show()["web0"])
    assert [after[name] - before[name] for name in ("look", "too", "only")] == [200] * 3


def test_nobody_listens_and_nothing_is_lost(rig: Rig) -> None:
    """More samples than the buffer holds; whoever listens then hears what is new, not what was."""
    many = "".join(f"      - {{name: log{n}, action: log}}\n" for n in range(70))
    text = TEXT.replace("      - {name: look", many + "      - {name: look")
    listening(rig, text=text)
    rig.send(WEB, 9000, for_="web0", count=50)
    assert rig.received() == {("web0", 9000): 50}
    time.sleep(1.1)
    with tracing(rig.nic) as tracer:
        assert tracer.samples() == []
        rig.senders["wire"].send(frame(WEB, 9000))
        found = tracer.has(71)
        assert {one["hex"] for one in found} == {frame(WEB, 9000)[:LONGEST].hex()}


def test_samples_go_on_while_policies_are_edited(rig: Rig) -> None:
    listening(rig)
    edited = TEXT.replace("MODE", "auto").replace("[9000, 9009]}", "[9000, 9001, 9009]}")
    with tracing(rig.nic) as tracer:
        rig.senders["wire"].send(frame(WEB, 9000))
        tracer.has(1)
        rig.apply(edited)
        rig.senders["wire"].send(frame(WEB, 9001))
        assert tracer.has(2)[1]["rule"] == "look"


def test_samples_of_a_device_that_comes_while_somebody_listens(rig: Rig) -> None:
    """Its policy is loaded already, so no program tells that there is a new device."""
    listening(rig)
    with tracing(rig.nic) as tracer:
        more = TEXT.replace("MODE", "auto").replace(
            f'address: "{DB}", state: up}}', f'address: "{DB}", state: up, xdp: {{policy: web}}}}'
        )
        rig.apply(more)
        time.sleep(1.5)
        rig.send(DB, 9001, for_="db0", count=2)
        assert {sample["device"] for sample in tracer.has(2)} == {"db0"}


def test_samples_go_on_over_a_rebuild(rig: Rig) -> None:
    """New maps, and a new buffer among them."""
    listening(rig)
    more = "".join(f"      - {{match: {{udp.dport: {n + 1}}}, action: pass}}\n" for n in range(40))
    text = TEXT.replace("MODE", "auto").replace("      - {name: only", more + "      - {name: only")
    with tracing(rig.nic) as tracer:
        rig.apply(text)
        rig.senders["wire"].send(frame(WEB, 9000))
        assert tracer.has(1)[0]["rule"] == "look"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("trace", "edge", "--live", "--match", "tcp.dprot: 1"), 1, "did you mean tcp.dport"),
        (("trace", "edge"), 64, "trace needs --live"),
        (("trace", "nothing", "--live"), 1, "topology nothing"),
    ],
)
def test_what_is_wrong_is_said(rig: Rig, arguments: tuple[str, ...], code: int, words: str) -> None:
    listening(rig)
    done = command(rig.nic, *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
