"""Frames that are redirected into taps and veths, and what comes from there."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from tests.kernel.rig import (
    BROADCAST,
    MULTICAST,
    SENDER,
    SO_RCVBUFFORCE,
    STRANGER,
    Rig,
    pins,
    raw_socket,
    rules,
    udp_frame,
    verdicts,
)
from tests.kernel.test_actions import frames_of, opened_tap, passing
from xdpctl.apply import run
from xdpctl.bpf import links
from xdpctl.bpf import pins as bpf_pins
from xdpctl.datapath.drift import drifted
from xdpctl.errors import ConflictError

pytestmark = pytest.mark.kernel

VM, BOX, OTHER, STACKED = (f"02:00:00:00:00:{number}" for number in (20, 21, 22, 23))
ROOT = "02:00:00:00:00:01"
TEXT = f"""\
version: 1
name: edge
devices:
  eth0: {{kind: physical}}
  vm0: {{kind: tap, parent: eth0, deliver: redirect, address: "{VM}", state: up,
        xdp: {{policy: web}}}}
  c0: {{kind: veth, peer: c0in, parent: eth0, deliver: redirect, address: "{BOX}", state: up,
       xdp: {{policy: db, egress: out}}}}
  c1: {{kind: veth, peer: c1in, parent: eth0, deliver: redirect, address: "{OTHER}", state: up}}
policies:
  web: {{default: drop, rules: [{{name: only, match: {{udp.dport: 9000}}, action: pass}}]}}
  db: {{default: pass, rules: [{{name: not, match: {{udp.dport: 9000}}, action: drop}}]}}
  out: {{default: pass, rules: [{{name: no mail, match: {{udp.dport: 25}}, action: drop}}]}}
"""
MIXED = TEXT.replace(
    "policies:",
    f"""\
  web0: {{kind: macvlan, parent: eth0, mode: bridge, address: "{STACKED}", state: up,
         xdp: {{policy: web}}}}
policies:""",
    1,
)


@dataclass
class Boxes:
    """The far ends: of the tap what reads it, of the veths containers, of the root the wire."""

    rig: Rig
    readers: dict[str, int] = field(default_factory=dict)
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    containers: dict[str, tuple[Netns, str]] = field(default_factory=dict)

    def watch(self, name: str, netns: Netns, device: str) -> None:
        """Count what arrives at a device of a namespace, and send by it."""
        with netns.entered():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            made.bind((device, 0))
            made.setblocking(False)
            self.sockets[name] = made
            if name not in self.rig.senders:
                self.rig.senders[name] = raw_socket(device)

    def arrived(self) -> dict[str, Counter[int]]:
        """Ports of the UDP frames that have arrived since the last look, by where."""
        self.rig.received()  # waits a moment
        found = {name: Counter(map(port_of, frames_of(one))) for name, one in self.readers.items()}
        for name, one in self.sockets.items():
            found[name] = Counter(port_of(frame) for frame in received(one))
        return {name: ports for name, ports in found.items() if ports}

    def send(self, by: str, to: str, port: int, count: int = 5, source: str = "") -> None:
        """Send frames by the wire or one of the far ends."""
        daddr = "10.0.0.255" if int(to[:2], 16) & 1 else "10.0.0.10"
        frame = udp_frame(to, port, daddr=daddr, saddr="10.0.0.99", source=source or SENDER)
        for _ in range(count):
            if by in self.readers:
                os.write(self.readers[by], frame)
            else:
                self.rig.senders[by].send(frame)


def received(from_: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            frame, where = from_.recvfrom(4096)
        except BlockingIOError:
            return
        if where[2] != socket.PACKET_OUTGOING:
            yield frame


def taken_in(rig: Rig) -> set[str]:
    """The unicast addresses beside its own whose frames the root's NIC lets in."""
    found = rig.nic.run("bridge", "-json", "fdb", "show", "dev", "eth0").stdout
    return {one["mac"] for one in json.loads(found) if not int(one["mac"][:2], 16) & 1}


def port_of(frame: bytes) -> int:
    return int.from_bytes(frame[36:38], "big")


@pytest.fixture
def boxes(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Boxes]:
    rig.apply(TEXT)
    yield from connected(rig, netnses)


@pytest.fixture
def mixed(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Boxes]:
    rig.apply(MIXED)
    yield from connected(rig, netnses)


def connected(rig: Rig, netnses: Callable[[], Netns]) -> Iterator[Boxes]:
    rig.wire.run("ethtool", "-K", "wire", "gro", "on", "tx", "off")
    found = Boxes(rig)
    found.watch("wire", rig.wire, "wire")
    for name in ("c0", "c1"):
        container = netnses()
        container.without_ipv6()
        rig.nic.ip("link", "set", f"{name}in", "netns", container.name)
        container.ip("link", "set", f"{name}in", "up")
        found.watch(name, container, f"{name}in")
        found.containers[name] = (container, f"{name}in")
    with opened_tap(rig.nic, "vm0") as reader:
        found.readers["vm0"] = reader
        found.arrived()
        yield found
        for one in found.sockets.values():
            one.close()


def test_a_rule_that_logs_leaves_both_policies_in_force(boxes: Boxes) -> None:
    """Both stand in the same instructions, and a sample takes a good part of the stack."""
    text = TEXT.replace("rules: [{", "rules: [{name: seen, action: log}, {")
    boxes.rig.apply(text)
    for port in (25, 9000, 9001):
        boxes.send("c0", VM, port, source=BOX)
        boxes.send("c1", BOX, port, source=OTHER)
    assert boxes.arrived() == {"vm0": {9000: 5}, "c0": {25: 5, 9001: 5}}


def test_frames_go_straight_into_the_tap_and_the_container(boxes: Boxes) -> None:
    for port in (9000, 9001):
        boxes.send("wire", VM, port)
        boxes.send("wire", BOX, port, count=7)
        boxes.send("wire", OTHER, port, count=2)
    assert boxes.arrived() == {
        "vm0": {9000: 5}, "c0": {9001: 7}, "c1": {9000: 2, 9001: 2}
    }  # fmt: skip
    shown = boxes.rig.show()
    assert (verdicts(shown["vm0"]), rules(shown["vm0"])) == (
        {"pass": 5, "drop": 5},
        {"only": 5, "default": 5},
    )
    assert (verdicts(shown["c0"]), rules(shown["c0"])) == (
        {"pass": 7, "drop": 7},
        {"not": 7, "default": 7},
    )


def test_no_skb_is_made_at_the_root_for_them(boxes: Boxes) -> None:
    """A packet socket on the root stands where the skb begins."""
    boxes.watch("root", boxes.rig.nic, "eth0")
    boxes.send("wire", VM, 9000)
    assert boxes.arrived() == {"vm0": {9000: 5}}


def test_what_comes_from_them_goes_out_of_the_root(boxes: Boxes) -> None:
    boxes.send("vm0", STRANGER, 9000)
    boxes.send("c0", STRANGER, 9001, count=3)
    boxes.send("c0", STRANGER, 25, count=4)
    assert boxes.arrived() == {"wire": {9000: 5, 9001: 3}}
    egress = boxes.rig.show()["c0"]["xdp"]["egress"]
    assert egress["policy"] == "out"
    assert {rule["name"]: rule["packets"] for rule in egress["rules"]} == {
        "no mail": 4, "default": 3
    }  # fmt: skip


@pytest.mark.parametrize("source", ["", VM, BOX, ROOT])
def test_siblings_meet_both_policies_once(boxes: Boxes, source: str) -> None:
    """The sender's own on the way out, the receiver's on the way in, whatever the source says."""
    for port in (9000, 9001, 25):
        boxes.send("c0", VM, port, count=3, source=source)
        boxes.send("vm0", BOX, port, count=2, source=source)
        boxes.send("c1", BOX, port, source=source)
    assert boxes.arrived() == {"vm0": {9000: 3}, "c0": {9001: 2 + 5, 25: 2 + 5}}
    shown = boxes.rig.show()
    assert verdicts(shown["vm0"]) == {"pass": 3, "drop": 3}
    assert verdicts(shown["c0"]) == {"pass": 14, "drop": 7}
    assert verdicts({"xdp": shown["c0"]["xdp"]["egress"]}) == {"pass": 6, "drop": 3}


@pytest.mark.parametrize("group", [BROADCAST, MULTICAST])
def test_groups_are_flooded_from_the_wire(boxes: Boxes, group: str) -> None:
    boxes.watch("root", boxes.rig.nic, "eth0")
    boxes.send("wire", group, 9000, count=3)
    boxes.send("wire", group, 9001, count=4)
    assert boxes.arrived() == {
        "vm0": {9000: 3}, "c0": {9001: 4}, "c1": {9000: 3, 9001: 4}, "root": {9000: 3, 9001: 4}
    }  # fmt: skip
    shown = boxes.rig.show()
    assert verdicts(shown["vm0"]) == {"pass": 3, "drop": 4}
    assert verdicts(shown["c0"]) == {"pass": 4, "drop": 3}


@pytest.mark.parametrize("group", [BROADCAST, MULTICAST])
def test_groups_are_flooded_from_a_sibling(boxes: Boxes, group: str) -> None:
    """To the siblings and out, not to the root's own stack, as a macvlan in mode bridge does."""
    boxes.watch("root", boxes.rig.nic, "eth0")
    for port in (9000, 9001, 25):
        boxes.send("c0", group, port, count=3)
    assert boxes.arrived() == {
        "vm0": {9000: 3}, "c1": {9000: 3, 9001: 3}, "wire": {9000: 3, 9001: 3}
    }  # fmt: skip
    assert verdicts(boxes.rig.show()["vm0"]) == {"pass": 3, "drop": 3}


def test_unknown_unicast_goes_to_all(boxes: Boxes) -> None:
    boxes.send("wire", STRANGER, 9000)
    assert boxes.arrived() == {"vm0": {9000: 5}, "c1": {9000: 5}}
    shown = boxes.rig.show()
    assert shown["eth0"]["xdp"]["unknown"]["packets"] == 5
    assert (verdicts(shown["vm0"]), verdicts(shown["c0"])) == ({"pass": 5}, {"drop": 5})


def test_unknown_unicast_goes_to_nobody_where_it_is_dropped(boxes: Boxes) -> None:
    boxes.rig.apply(TEXT.replace("{kind: physical}", "{kind: physical, xdp: {unknown: drop}}"))
    boxes.send("wire", STRANGER, 9000)
    boxes.send("wire", VM, 9000, count=1)
    assert boxes.arrived() == {"vm0": {9000: 1}}


def test_the_roots_own_frames_are_its_own(boxes: Boxes) -> None:
    boxes.watch("root", boxes.rig.nic, "eth0")
    boxes.send("wire", ROOT, 9000)
    assert boxes.arrived() == {"root": {9000: 5}}
    boxes.send("c1", ROOT, 9000)  # not to be reached, like a macvlan's lower device
    assert boxes.arrived() == {"wire": {9000: 5}}


def test_a_macvlan_beside_them(mixed: Boxes) -> None:
    """What comes from a sibling meets the macvlan's policy once, at the macvlan."""
    mixed.rig.listen("web0")
    for port in (9000, 9001):
        mixed.send("c1", STACKED, port)
        mixed.send("vm0", BROADCAST, port, count=2)
    assert mixed.rig.received() == {("web0", 9000): 5 + 2}
    shown = mixed.rig.show()
    assert verdicts(shown["web0"]) == {"pass": 7, "drop": 7}
    arrived = mixed.arrived()
    assert arrived == {"c0": {9001: 2}, "c1": {9000: 2, 9001: 2}, "wire": {9000: 2, 9001: 2}}


def test_nothing_to_do_the_second_time(boxes: Boxes) -> None:
    assert not boxes.rig.plan(TEXT).changed


def test_nothing_is_left(boxes: Boxes) -> None:
    assert taken_in(boxes.rig) == {VM, BOX, OTHER}
    boxes.rig.destroy()
    assert taken_in(boxes.rig) == set()
    assert pins(boxes.rig.nic) == []
    assert "clsact" not in boxes.rig.nic.run("tc", "qdisc", "show", "dev", "eth0").stdout


# --- TCP


OPEN = TEXT.replace("policy: web", "policy: out").replace("policy: db", "policy: out")


@pytest.mark.parametrize("pair", [("wire", "c0"), ("c0", "wire"), ("c0", "c1")])
def test_tcp_has_right_checksums(boxes: Boxes, pair: tuple[str, str]) -> None:
    """A megabyte each way: the receivers compute the checksums themselves."""
    boxes.rig.apply(OPEN)
    places = {"wire": (boxes.rig.wire, "wire"), **boxes.containers}
    for number, name in enumerate(pair, start=1):
        netns, device = places[name]
        netns.ip("addr", "add", f"10.0.0.{number}/24", "dev", device)
    client, server = (places[name][0] for name in pair)
    assert echoed(client, server, 1 << 20) == 1 << 20
    for name in pair:
        assert checksum_errors(places[name][0]) == 0
    shown = boxes.rig.show()
    assert verdicts({"xdp": shown["c0"]["xdp"]["egress"]})["pass"] > 20
    assert verdicts(shown["c0"])["pass"] > 20


def echoed(client: Netns, server: Netns, size: int) -> int:
    """Bytes that came back, as they were sent, from a server that sends what it gets."""
    with server.entered():
        listener = socket.create_server(("10.0.0.2", 7777))
    listener.settimeout(5)

    def serve() -> None:
        with listener, listener.accept()[0] as accepted:
            accepted.settimeout(5)
            while data := accepted.recv(1 << 16):
                accepted.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.entered():
        sender = socket.create_connection(("10.0.0.2", 7777), timeout=5)
    sent, back = os.urandom(size), bytearray()
    with sender:
        pump = threading.Thread(target=send_all, args=(sender, sent))
        pump.start()
        while data := sender.recv(1 << 16):
            back += data
        pump.join()
    thread.join()
    return len(back) if bytes(back) == sent else 0


def send_all(sender: socket.socket, sent: bytes) -> None:
    sender.sendall(sent)
    sender.shutdown(socket.SHUT_WR)


def checksum_errors(netns: Netns) -> int:
    """InCsumErrors of TCP in a namespace."""
    lines = [
        line.split()[1:]
        for line in netns.run("cat", "/proc/net/snmp").stdout.splitlines()
        if line.startswith("Tcp:")
    ]
    return int(dict(zip(*lines, strict=True))["InCsumErrors"])


def test_without_the_switches_checksums_are_wrong(boxes: Boxes) -> None:
    """What the plan sees to: with its sums left to the device, nothing arrives."""
    boxes.rig.apply(OPEN)
    container, device = boxes.containers["c0"]
    container.run("ethtool", "-K", device, "tx", "on")
    for netns, name, number in ((boxes.rig.wire, "wire", 2), (container, device, 1)):
        netns.ip("addr", "add", f"10.0.0.{number}/24", "dev", name)
    with container.entered(), socket.socket() as sender:
        sender.settimeout(0.5)
        with boxes.rig.wire.entered(), socket.create_server(("10.0.0.2", 7777)):
            pass
        with pytest.raises(TimeoutError):
            sender.connect(("10.0.0.2", 7777))
    assert checksum_errors(boxes.rig.wire) > 0


# --- changes


def test_changes_under_traffic_lose_nothing(boxes: Boxes) -> None:
    """Edits in place, a device more, one less, a rebuild: what passes before and after arrives."""
    extra = TEXT.replace(
        "policies:",
        """\
  vm1: {kind: tap, parent: eth0, deliver: redirect, state: up, xdp: {policy: more, egress: out}}
policies:
  more: {default: pass}""",
    )
    edited = TEXT.replace("udp.dport: 25", "udp.dport: [25, 26]")
    bigger = TEXT.replace(
        "  out: {default: pass, rules: [",
        "  out: {default: pass, rules: ["
        + ", ".join(f"{{name: r{n}, match: {{udp.dport: {n}}}, action: drop}}"
                    for n in range(100, 140)) + ", ",
    )  # fmt: skip
    boxes.rig.nic.ip("link", "set", "vm0", "txqueuelen", "20000")
    sent: Counter[str] = Counter()
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            for by, to, name in (("wire", VM, "vm0"), ("c1", VM, "vm0"), ("c0", OTHER, "c1")):
                boxes.send(by, to, 9000, count=1)
                sent[name] += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=send)
    thread.start()
    found: Counter[str] = Counter()
    try:
        for text in (extra, TEXT, edited, bigger, TEXT):
            assert boxes.rig.apply(text).applied
            for name, ports in boxes.arrived().items():
                found[name] += ports[9000]
    finally:
        stop.set()
        thread.join()
    for name, ports in boxes.arrived().items():
        found[name] += ports[9000]
    assert sent["vm0"] > 100
    assert found == sent


def test_counts_go_on(boxes: Boxes) -> None:
    """Over an edit in place and over a rebuild."""
    boxes.send("c0", STRANGER, 25)
    boxes.send("wire", BOX, 9001)
    for _ in range(2):
        edited = TEXT.replace("default: pass, rules: [{name: no mail",
                              "default: pass, rules: [" + "".join(
            f"{{name: r{n}, match: {{udp.dport: {n}}}, action: drop}}, " for n in range(100, 140)
        ) + "{name: no mail")  # fmt: skip
        boxes.rig.apply(edited)
        egress = boxes.rig.show()["c0"]["xdp"]["egress"]
        assert {r["name"]: r["packets"] for r in egress["rules"]}["no mail"] == 5
        assert verdicts(boxes.rig.show()["c0"]) == {"pass": 5}


@pytest.mark.parametrize("what", ["uplink", "relay", "flood", "gate", "address"])
def test_what_somebody_took_off_comes_back(boxes: Boxes, what: str) -> None:
    rig = boxes.rig
    if what == "uplink":
        with rig.nic.entered(), links.Link(bpf_pins.open_pin(pin(rig, "uplink-eth0@c0"))) as link:
            link.detach()
    elif what == "address":
        rig.nic.run("bridge", "fdb", "del", BOX, "dev", "eth0", "self")
    else:
        device, side = {"relay": ("c0", "ingress"), "flood": ("eth0", "ingress"),
                        "gate": ("c0", "egress")}[what]  # fmt: skip
        rig.nic.run("tc", "filter", "del", "dev", device, side)
    with rig.nic.entered():
        observed = run.observe("edge")
        assert drifted(observed.host, observed.live)
    assert rig.apply(TEXT).applied
    assert not rig.plan(TEXT).changed
    boxes.send("c0", BROADCAST, 9001, count=2)
    boxes.send("wire", BROADCAST, 9001, count=3)
    boxes.send("c0", STRANGER, 25)
    assert boxes.arrived() == {"c0": {9001: 3}, "c1": {9001: 5}, "wire": {9001: 2}}


def pin(rig: Rig, name: str) -> Path:
    return Path("/sys/fs/bpf/xdpctl") / rig.nic.name / "edge" / name


def test_a_deleted_device_is_made_again(boxes: Boxes) -> None:
    """By somebody, and by a change that only re-creation brings."""
    boxes.rig.nic.ip("link", "del", "c0")
    boxes.sockets.pop("c0").close()
    assert boxes.rig.apply(TEXT).applied
    assert not boxes.rig.plan(TEXT).changed
    assert boxes.rig.apply(TEXT.replace("c0in", "c9in")).applied
    assert boxes.rig.apply(TEXT).applied
    assert not boxes.rig.plan(TEXT).changed
    boxes.send("wire", OTHER, 9000)
    assert boxes.arrived() == {"c1": {9000: 5}}


def test_a_foreign_program_is_respected(boxes: Boxes) -> None:
    boxes.rig.destroy()
    boxes.rig.nic.ip("tuntap", "add", "dev", "vm9", "mode", "tap")
    text = TEXT.replace("vm0:", "vm9:")
    with passing(boxes.rig.nic, "vm9"):
        with pytest.raises(ConflictError, match="vm9"):
            boxes.rig.apply(text)
        boxes.rig.nic.ip("link", "set", "vm9", "alias", "xdpctl:edge")
        with pytest.raises(ConflictError, match="vm9 already has an XDP program"):
            boxes.rig.apply(text)
        boxes.rig.apply(text, take_over=True)
    assert not boxes.rig.plan(text).changed


# --- whose address it is


def test_the_other_end_has_the_address(rig: Rig) -> None:
    """From its creation on, and after an edit; the file may list it as a device of its own."""

    def address() -> str:
        (link,) = rig.nic.json("link", "show", "c1in")
        return str(link["address"])

    rig.apply(TEXT)
    assert address() == OTHER
    moved = TEXT.replace(OTHER, "02:00:00:00:00:29")
    assert rig.apply(moved).applied
    assert address() == "02:00:00:00:00:29"
    assert not rig.plan(moved).changed
    listed = TEXT.replace("policies:", "  c1in: {kind: veth, peer: c1, state: up}\npolicies:", 1)
    assert rig.apply(listed).applied
    assert address() == OTHER
    assert not rig.plan(listed).changed
    rig.nic.ip("link", "set", "c1in", "address", "02:00:00:00:00:77")
    assert rig.plan(listed).changed


# --- a root with generic XDP


def test_a_generic_root_is_slower_and_no_different(boxes: Boxes) -> None:
    """Frames come up unpoliced: the flood sends them on, and the gates police them."""
    generic = TEXT.replace("{kind: physical}", "{kind: physical, xdp: {mode: generic}}")
    assert boxes.rig.apply(generic).applied
    assert not boxes.rig.plan(generic).changed
    for port in (9000, 9001):
        boxes.send("wire", VM, port)
        boxes.send("wire", BROADCAST, port, count=2)
        boxes.send("c0", VM, port, count=3)
        boxes.send("c0", STRANGER, port, count=4)
    assert boxes.arrived() == {
        "vm0": {9000: 5 + 2 + 3},
        "c0": {9001: 2},
        "c1": {9000: 2, 9001: 2},
        "wire": {9000: 4, 9001: 4},
    }
    assert verdicts(boxes.rig.show()["vm0"]) == {"pass": 10, "drop": 10}


# --- what the plan says


def test_the_plan_warns_of_what_does_not_meet(rig: Rig) -> None:
    notes = " ".join(rig.plan(MIXED).notes)
    assert "web0 sends to vm0 (and 2 more) leaves by eth0" in notes
    assert "leaves by eth0" not in " ".join(rig.plan(TEXT).notes)
    headed = TEXT.replace("{kind: tap,", "{kind: tap, vnet_hdr: on,", 1)
    assert "vm0: vnet_hdr" in " ".join(rig.plan(headed).notes)
