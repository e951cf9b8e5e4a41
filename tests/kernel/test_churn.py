"""Devices come, go, and change under traffic to all of them: every frame meets its policy.

XDPCTL_LONG=1 makes it 4,096 devices for a minute.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event as StopEvent

import pytest

from tests.kernel.rig import SO_RCVBUFFORCE, Rig, raw_socket, rules, udp_frame, verdicts

pytestmark = pytest.mark.kernel

LONG = bool(os.environ.get("XDPCTL_LONG"))
DEVICES, SECONDS = (4096, 60.0) if LONG else (256, 8.0)
ADDRESS = "10.9.9.9"
OPEN, OTHER, CLOSED, ALWAYS = PORTS = (9000, 9001, 9002, 9003)
"""`one` passes OPEN, `two` OTHER, both ALWAYS, none CLOSED."""
NUMBER = struct.Struct("=I14x")
"""The payload: which device it is for."""
PACE = 0.00005
BASE, NEW = 0x020000100000, 0x020000900000
POLICIES = """\
policies:
  one:
    default: drop
    rules:
      - {{match: {{udp.dport: {edit}}}, action: drop}}
      - {{name: open, match: {{udp.dport: 9000}}, action: pass}}
      - {{name: always, match: {{udp.dport: 9003}}, action: pass}}
  two:
    default: drop
    rules:
      - {{name: other, match: {{udp.dport: 9001}}, action: pass}}
      - {{name: always, match: {{udp.dport: 9003}}, action: pass}}
"""


@dataclass(frozen=True)
class Tenant:
    """One device as it is wanted."""

    number: int
    address: int
    policy: str = "one"
    there: bool = True

    def line(self) -> str:
        return (
            f"  t{self.number}: {{kind: macvlan, parent: eth0, mode: bridge, state: up, "
            f'address: "{mac(self.address)}", xdp: {{policy: {self.policy}}}}}\n'
        )


def mac(number: int) -> str:
    return number.to_bytes(6).hex(":")


def topology(tenants: dict[int, Tenant], edit: int) -> str:
    lines = "".join(each.line() for each in tenants.values() if each.there)
    head = "version: 1\nname: edge\ndevices:\n  eth0: {kind: physical, xdp: {unknown: drop}}\n"
    return head + lines + POLICIES.format(edit=edit)


def changed(tenants: dict[int, Tenant], pick: random.Random, turn: int) -> None:
    """One device of each kind is changed; those whose number is a multiple of four stay as is."""
    for kind in (1, 2, 3):
        number = pick.randrange(kind, DEVICES, 4)
        one = tenants[number]
        if kind == 1:
            tenants[number] = replace(one, there=not one.there)
        elif kind == 2:
            tenants[number] = replace(one, address=NEW + turn)
        else:
            tenants[number] = replace(one, policy="two" if one.policy == "one" else "one")


class Receiver:
    """Counts what reaches the sockets, by device and port."""

    def __init__(self, rig: Rig) -> None:
        self.counted: Counter[tuple[int, int]] = Counter()
        self._sockets: dict[int, socket.socket] = {}
        with rig.nic.entered():
            for port in PORTS:
                each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                each.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 28)
                each.bind((ADDRESS, port))
                self._sockets[port] = each

    def drain(self) -> None:
        for port, each in self._sockets.items():
            while True:
                try:
                    (number,) = NUMBER.unpack(each.recv(64))
                except BlockingIOError:
                    break
                self.counted[number, port] += 1

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()


@contextmanager
def traffic(rig: Rig) -> Iterator[Counter[int]]:
    """Frames to all devices in turn, from a process of its own; how many for each, at the end."""
    stop = multiprocessing.get_context("fork").Event()
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    with rig.wire.entered():
        out = raw_socket("wire")
    sender = multiprocessing.get_context("fork").Process(target=_send, args=(out, stop, theirs))
    sender.start()
    sent: Counter[int] = Counter()
    try:
        yield sent
    finally:
        stop.set()
        sent.update(ours.recv())
        sender.join()
        out.close()


def _send(out: socket.socket, stop: StopEvent, told: multiprocessing.connection.Connection) -> None:
    frames = [
        [
            udp_frame(mac(BASE + number), port, daddr=ADDRESS, saddr="10.9.9.1",
                      payload=NUMBER.pack(number))
            for port in PORTS
        ]
        for number in range(DEVICES)
    ]  # fmt: skip
    sent: Counter[int] = Counter()
    while not stop.is_set():
        for number, each in enumerate(frames):
            for frame in each:
                out.send(frame)
            sent[number] += 1
            time.sleep(PACE)
            if number % 64 == 0 and stop.is_set():
                break
    told.send(dict(sent))


def overflown(rig: Rig) -> int:
    """Datagrams that found a socket full."""
    lines = rig.nic.run("cat", "/proc/net/snmp").stdout.splitlines()
    names, values = [line.split() for line in lines if line.startswith("Udp:")]
    return int(dict(zip(names, values, strict=True))["RcvbufErrors"])


def test_every_frame_meets_its_policy_while_devices_come_and_go(rig: Rig) -> None:
    pick = random.Random(2018)
    tenants = {number: Tenant(number, BASE + number) for number in range(DEVICES)}
    rig.apply(topology(tenants, 1))
    rig.nic.ip("addr", "add", f"{ADDRESS}/32", "dev", "lo")
    rig.nic.ip("link", "set", "lo", "up")
    receiver, turns = Receiver(rig), 0
    try:
        with traffic(rig) as sent:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                turns += 1
                changed(tenants, pick, turns)
                assert rig.apply(topology(tenants, 1 + turns // 2)).applied
                receiver.drain()
            assert not rig.plan(topology(tenants, 1 + turns // 2)).changed
        time.sleep(0.2)
        receiver.drain()
    finally:
        receiver.close()
    assert overflown(rig) == 0, "the test lost frames itself"
    assert turns > 5
    assert min(sent.values()) > 1
    got = receiver.counted
    slipped = {key: n for key, n in got.items() if key[1] == CLOSED}
    assert not slipped, "no policy passes these"
    untouched = range(0, DEVICES, 4)
    for number in untouched:
        found = [got[number, port] for port in PORTS]
        assert found == [sent[number], 0, 0, sent[number]], number
    for number in range(3, DEVICES, 4):
        assert got[number, ALWAYS] == sent[number], "both of the policies pass these"
    shown = rig.show()
    for number in untouched:
        device = shown[f"t{number}"]
        assert rules(device)["open"] == rules(device)["always"] == sent[number]
        assert verdicts(device)["drop"] == 2 * sent[number]
