"""Frames that a policy sends elsewhere: back, to other devices, to other policies."""

from __future__ import annotations

import os
import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import (
    BROADCAST,
    DB,
    WEB,
    Rig,
    Traffic,
    rules,
    udp_frame,
    verdicts,
)
from xdpctl.bpf import links, program
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.errors import UnsupportedError
from xdpctl.host import tap
from xdpctl.topology.load import load_texts
from xdpctl.trace import check

pytestmark = pytest.mark.kernel

DEVICES = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical, xdp: {{mode: MODE}}}}
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{WEB}", state: up,
         xdp: {{policy: web}}}}
  db0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{DB}", state: up}}
"""
POLICY = """\
policies:
  web:
    default: drop
    rules:
      - {name: only, match: {udp.dport: 9000}, action: pass}
      - {name: away, match: {udp.dport: 9001}, action: ACTION}
"""
TEXT = (DEVICES + POLICY).replace("MODE", "auto")
TAP = "  tap0: {kind: tap, state: up}\n"
VETH = '  out0: {kind: veth, peer: out1, state: up, address: "02:00:00:00:00:40"}\n'


def to(action: str, devices: str = "") -> str:
    return TEXT.replace("ACTION", action).replace("policies:", devices + "policies:")


@contextmanager
def passing(netns: Netns, device: str) -> Iterator[None]:
    """A program on the device: a veth takes frames from XDP only while its peer has one."""
    asm = Assembler()
    asm.mov(R0, 2)
    asm.exit()
    with program.load(asm.assemble(), program.Flavour.XDP, "passing") as loaded:
        with netns.entered():
            index = socket.if_nametoindex(device)
            link = links.create(loaded.fd, index, links.Hook.XDP, links.XDP_FLAGS_DRV_MODE)
        with link:
            yield


@contextmanager
def caught(netns: Netns, device: str) -> Iterator[list[bytes]]:
    """Frames that arrive at the device meanwhile, those it sends itself left out."""
    found: list[bytes] = []
    with netns.entered():
        tap_socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        tap_socket.bind((device, 0))
        tap_socket.settimeout(0.3)
    with tap_socket:
        yield found
        try:
            while True:
                frame, where = tap_socket.recvfrom(4096)
                if where[2] != socket.PACKET_OUTGOING:
                    found.append(frame)
        except TimeoutError:
            pass


@pytest.fixture
def tap_reader(rig: Rig) -> Iterator[int]:
    """The far end of tap0, as a virtual machine would have it."""
    rig.apply(to("drop", TAP))
    with opened_tap(rig.nic) as reader:
        yield reader


@contextmanager
def opened_tap(netns: Netns, name: str = "tap0") -> Iterator[int]:
    with netns.entered():
        reader = tap.opened("open tap")
        try:
            tap.attach(reader, name, tap.IFF_TAP | tap.IFF_NO_PI, "open tap")
            os.set_blocking(reader, False)
            yield reader
        finally:
            os.close(reader)


def frames_of(reader: int) -> list[bytes]:
    """What stands in the tap's queue."""
    found: list[bytes] = []
    while True:
        try:
            found.append(os.read(reader, 4096))
        except BlockingIOError:
            return found


def frame(to_: str = WEB, port: int = 9001, payload: bytes = b"y" * 300) -> bytes:
    daddr = "10.0.0.255" if to_ == BROADCAST else "10.0.0.10"
    return udp_frame(to_, port, daddr=daddr, saddr="10.0.0.99", payload=payload)


def counted(rig: Rig, device: str = "web0") -> dict[str, int]:
    return verdicts(rig.show()[device])


def more(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}


# --- tx


def test_tx_sends_the_frame_back_over_the_wire(rig: Rig) -> None:
    rig.apply(to("tx"))
    before = counted(rig)
    with passing(rig.wire, "wire"), caught(rig.wire, "wire") as back:
        for _ in range(5):
            rig.senders["wire"].send(frame())
    assert back == [frame()] * 5
    shown = rig.show()["web0"]
    assert more(verdicts(shown), before) == {"tx": 5}
    assert rules(shown)["away"] == 5
    assert shown["xdp"]["verdicts"]["tx"]["bytes"] == 5 * len(frame())


def test_tx_of_the_roots_own_policy(rig: Rig) -> None:
    text = (
        to("tx")
        .replace("{mode: auto}", "{policy: web}")
        .replace(",\n         xdp: {policy: web}", "")
    )
    rig.apply(text)
    with passing(rig.wire, "wire"), caught(rig.wire, "wire") as back:
        rig.senders["wire"].send(frame())
        rig.senders["wire"].send(frame(BROADCAST))
    assert back == [frame(), frame(BROADCAST)]
    assert counted(rig, "eth0")["tx"] == 2


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_tx_of_clones_and_of_a_siblings_frames_goes_out_by_the_wire(rig: Rig, mode: str) -> None:
    """Sent by the devices themselves they would come in by a sibling again, without an end."""
    text = to("tx").replace('00:11", state: up}', '00:11", state: up, xdp: {policy: web}}')
    rig.apply(text.replace("mode: auto", f"mode: {mode}"))
    rig.listen("db0")
    rig.listen("web0")
    with caught(rig.wire, "wire") as back:
        rig.senders["wire"].send(frame(BROADCAST))
        rig.received()
    assert back == [frame(BROADCAST)] * 2, "of each device one"
    with caught(rig.wire, "wire") as back:
        for _ in range(3):
            rig.senders["db0"].send(frame())
        rig.received()
    assert back == [frame()] * 3
    assert (counted(rig)["tx"], counted(rig, "db0")["tx"]) == (4, 1)


# --- redirect to a tap


@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize(
    ("by", "address"), [("wire", WEB), ("wire", BROADCAST), ("db0", WEB), ("db0", BROADCAST)]
)
def test_redirect_to_a_tap_wherever_frames_come_by(
    rig: Rig, tap_reader: int, by: str, address: str, mode: str
) -> None:
    """Its reader gets them byte by byte: from XDP, and from the device's tc ingress."""
    rig.apply(to("{redirect: tap0}", TAP).replace("mode: auto", f"mode: {mode}"))
    rig.listen("web0")
    rig.listen("db0")
    frames_of(tap_reader)
    before = counted(rig)
    sent = [frame(address, payload=bytes([n]) * (20 + 90 * n)) for n in range(5)]
    for each in sent:
        rig.senders[by].send(each)
    rig.senders[by].send(frame(address, 9000))
    assert rig.received().get(("web0", 9000)) == 1
    assert frames_of(tap_reader) == sent
    assert more(counted(rig), before) == {"pass": 1, "redirect": 5}


def test_redirect_of_the_roots_own_policy(rig: Rig, tap_reader: int) -> None:
    text = (
        to("{redirect: tap0}", TAP)
        .replace("{mode: auto}", "{policy: web}")
        .replace(",\n         xdp: {policy: web}", "")
    )
    rig.apply(text)
    frames_of(tap_reader)
    sent = [frame(), frame(BROADCAST), frame(DB)]
    for each in sent:
        rig.senders["wire"].send(each)
    assert frames_of(tap_reader) == sent
    assert counted(rig, "eth0")["redirect"] == 3


def test_a_target_deleted_and_made_again(rig: Rig, tap_reader: int) -> None:
    """While it is gone its frames are dropped, not passed; a plan shows it, apply mends it."""
    text = to("{redirect: tap0}", TAP)
    rig.apply(text)
    rig.listen("web0")
    old = tap.flags({})
    assert old
    rig.nic.ip("link", "delete", "tap0")
    before = counted(rig)
    for _ in range(3):
        rig.senders["wire"].send(frame())
    assert rig.received() == {}
    assert more(counted(rig), before) == {"redirect": 3}
    rows = {row.device: row for row in rig.plan(text).actions}
    assert rows["tap0"].op == "create"
    assert "device tap0" in rows["eth0"].changes
    rig.apply(text)
    assert not rig.plan(text).changed
    with opened_tap(rig.nic) as reader:
        frames_of(reader)
        rig.senders["wire"].send(frame())
        rig.senders["wire"].send(frame(BROADCAST))
        rig.received()
        assert frames_of(reader) == [frame(), frame(BROADCAST)]


def test_a_target_made_again_by_hand_with_the_ifindex_that_it_had(rig: Rig) -> None:
    """The kernel took it out of the map of targets when it went."""
    pair = VETH + "  out1: {kind: veth, peer: out0, state: up}\n"
    text = to("{redirect: out0}", pair)
    rig.apply(to("drop", pair))
    rig.nic.run("ethtool", "-K", "out1", "gro", "on")
    rig.apply(text)
    index = str(rig.show()["out0"]["ifindex"])
    rig.nic.ip("link", "delete", "out0")
    rig.nic.ip(
        "link", "add", "out0", "index", index, "address", "02:00:00:00:00:40", "type", "veth",
        "peer", "name", "out1",
    )  # fmt: skip
    rig.nic.run("ethtool", "-K", "out1", "gro", "on")
    for device in ("out0", "out1"):
        rig.nic.ip("link", "set", device, "alias", "xdpctl:edge", "up")
    rig.apply(text)
    with caught(rig.nic, "out1") as arrived:
        rig.senders["wire"].send(frame())
    assert frame() in arrived


# --- redirect to a veth


@pytest.mark.parametrize("address", [WEB, BROADCAST])
def test_redirect_to_a_veth(rig: Rig, address: str) -> None:
    pair = VETH + "  out1: {kind: veth, peer: out0, state: up}\n"
    rig.apply(to("drop", pair))
    with passing(rig.nic, "out1"):
        rig.apply(to("{redirect: out0}", pair))
        before = counted(rig)
        with caught(rig.nic, "out1") as arrived:
            for _ in range(5):
                rig.senders["wire"].send(frame(address))
        assert [each for each in arrived if each[:6] == frame(address)[:6]] == [frame(address)] * 5
        assert more(counted(rig), before) == {"redirect": 5}


def test_a_veth_that_takes_nothing_is_refused_and_gro_makes_it_take(rig: Rig) -> None:
    """Its other end is where nobody here can switch GRO on (tests/kernel/test_offloads.py)."""
    rig.apply(to("drop", VETH))
    rig.nic.ip("link", "set", "out1", "netns", rig.wire.name)
    rig.wire.ip("link", "set", "out1", "up")
    with pytest.raises(UnsupportedError, match="redirect to out0: a veth takes no frames") as told:
        rig.plan(to("{redirect: out0}", VETH))
    assert told.value.hint == "ethtool -K out1 gro on"
    rig.wire.run("ethtool", "-K", "out1", "gro", "on")
    rig.apply(to("{redirect: out0}", VETH))
    with caught(rig.wire, "out1") as arrived:
        rig.senders["wire"].send(frame())
    assert frame() in arrived


def test_redirect_back_to_the_wire(rig: Rig) -> None:
    """The root itself is a target like any other."""
    with passing(rig.wire, "wire"), caught(rig.wire, "wire") as back:
        rig.apply(to("{redirect: eth0}"))
        rig.senders["wire"].send(frame())
    assert back == [frame()]


# --- policy: NAME

CHAIN = """\
policies:
  web:
    default: pass
    rules:
      - {name: seen, action: count}
      - {name: strict, match: {udp.dport: [9001, 9002, 9003]}, action: {policy: guard}}
  guard:
    default: drop
    rules:
      - {name: one, match: {udp.dport: 9001}, action: pass}
      - {name: two, match: {udp.dport: 9002}, action: {redirect: tap0}}
"""


@pytest.mark.parametrize("address", [WEB, BROADCAST])
def test_another_policys_rules_decide_and_count(rig: Rig, tap_reader: int, address: str) -> None:
    rig.apply(DEVICES.replace("MODE", "auto") + TAP + CHAIN)
    rig.listen("web0", (9000, 9001, 9002, 9003))
    frames_of(tap_reader)
    before = counted(rig), told(rig)
    for port, count in ((9000, 1), (9001, 2), (9002, 3), (9003, 4)):
        for _ in range(count):
            rig.senders["wire"].send(frame(address, port))
    assert rig.received() == {("web0", 9000): 1, ("web0", 9001): 2}
    assert frames_of(tap_reader) == [frame(address, 9002)] * 3
    assert more(counted(rig), before[0]) == {"pass": 3, "drop": 4, "redirect": 3}
    assert more(told(rig), before[1]) == {
        "seen": 10, "strict": 9, "guard one": 2, "guard two": 3, "guard default": 4, "default": 1,
    }  # fmt: skip


def told(rig: Rig) -> dict[str, int]:
    """Packets by rule, with the policy's name where it is not the device's own."""
    found = rig.show()["web0"]["xdp"]["rules"]
    return {f"{row.get('policy', '')} {row['name']}".strip(): row["packets"] for row in found}


# --- all four outcomes, live and in a test

FOUR = """\
policies:
  web:
    default: drop
    rules:
      - {name: in, match: {udp.dport: 9000}, action: pass}
      - {name: back, match: {udp.dport: 9001}, action: tx}
      - {name: away, match: {udp.dport: 9002}, action: {redirect: tap0}}
      - {name: slow, match: {udp.dport: 9003}, action: {limit: 1/hour, burst: 1}}
      - {name: on, match: {udp.dport: 9004}, action: {policy: guard}}
      - {name: socket, match: {udp.dport: 9005}, action: {userspace: mine}}
  guard: {default: drop, rules: [{name: never, match: {udp.sport: 1}, action: pass}]}
"""
EXPECTED = {
    9000: ("pass", "in"),
    9001: ("tx", "back"),
    9002: ("redirect", "away"),
    9003: ("pass", "slow"),
    9004: ("drop", "default"),
    9005: ("redirect", "socket"),
    9006: ("drop", "default"),
}


@pytest.mark.parametrize("address", [WEB, BROADCAST])
def test_what_a_test_says_is_what_live_frames_do(rig: Rig, tap_reader: int, address: str) -> None:
    text = DEVICES.replace("MODE", "auto") + TAP + FOUR
    rig.apply(text)
    for port, (verdict, rule) in EXPECTED.items():
        before = rig.show()["web0"]
        rig.senders["wire"].send(frame(address, port))
        rig.received()
        after = rig.show()["web0"]
        assert more(verdicts(after), verdicts(before)) == {verdict: 1}, port
        if port != 9004:
            assert rules(after)[rule] == rules(before).get(rule, 0) + 1, port
        got = simulated(text, frame(address, port))
        if (port, address) == (9005, BROADCAST):
            verdict = "drop"  # what becomes of it: no socket can take a frame of the tc hook
        assert (got["verdict"], got["at"], got["rule"]) == (verdict, "web0", rule), port
        assert got.get("redirect") == {9002: "tap0", 9005: "mine"}.get(port)


def simulated(text: str, sent: bytes) -> dict[str, Any]:
    """What `xdpctl test` says of the frame."""
    case = f"""\
        tests:
          - {{name: it, packet: {{in: eth0, hex: "{sent.hex()}"}}, expect: {{at: web0}}}}
    """
    (result,) = check.run(load_texts({"topo.yaml": text + textwrap.dedent(case)}))
    return check.got(result.journey)


# --- targets under traffic


def test_a_target_is_exchanged_under_traffic(rig: Rig, tap_reader: int) -> None:
    """Every frame goes to the one or to the other, none to the device and none astray."""
    taps = TAP + TAP.replace("tap0", "tap1")
    texts = [to(f"{{redirect: {name}}}", taps) for name in ("tap0", "tap1")]
    rig.apply(texts[0])
    rig.listen("web0")
    ours = frame()[:6]
    got: list[bytes] = []
    with opened_tap(rig.nic, "tap1") as other:
        with Traffic(rig, [(WEB, 9001, "web0")]) as traffic:
            for turn in range(1, 9):
                rig.apply(texts[turn % 2])
                got += frames_of(tap_reader) + frames_of(other)
        rig.received()
        got += frames_of(tap_reader) + frames_of(other)
    assert sum(each[:6] == ours for each in got) == traffic.sent["web0", 9001] > 100
