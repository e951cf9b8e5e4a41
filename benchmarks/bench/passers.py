"""Who lets frames pass to the macvlans of a host: xdpctl's policies, a lone program, nobody."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measure import XDPCTL, run

from bench import cable
from bench.alone import XDP_PASS
from bench.cable import NIC, STATION, WIRE
from bench.contenders import verdict
from bench.driver import enable_gro
from bench.fleet import policy_lines
from bench.frames import DESTINATION, datagram
from bench.rules import LAST, PORT, passing
from bench.sender import BATCH, Sender, nanoseconds
from bench.traffic import IPERF_PORT, ROUND_TRIP_PORT, Datagrams, is_silent, servers
from xdpctl.bpf import links, program
from xdpctl.bpf.program import Flavour, Program
from xdpctl.datapath.backstop import TC_NEXT
from xdpctl.host import clsact, netns
from xdpctl.host.rtnl import Rtnl

TOPOLOGY: Final = "passing"
DEVICES: Final = {"web0": "02:00:00:00:00:10", "db0": "02:00:00:00:00:11"}
ADDRESSES: Final = {"web0": "10.77.0.10", "db0": "10.77.0.11"}


@dataclass
class Way:
    """A way from a client's namespace to a server's address, in the server's namespace."""

    name: str
    client: str
    server: str
    address: str


@dataclass
class Passer(Way):
    """One with a socket on a macvlan behind a NIC, and a sender of UDP at the other end."""

    sender: Sender
    arrived: Datagrams
    check: Callable[[int], None] = lambda _: None
    sent: int = 0

    def rate(self, frames: int) -> float:
        """Million frames a second that come to the socket."""
        with netns.entered(self.server):
            taken = nanoseconds(self.sender, frames, self.arrived, self.name)
        self.sent += frames
        return 1e3 / taken


def _write(folder: Path) -> str:
    """Both devices have the same policy, in which TCP and UDP here pass by the last rules."""
    lines = ["version: 1", f"name: {TOPOLOGY}", "devices:", f"  {NIC}: {{kind: physical}}"]
    lines += [
        f'  {name}: {{kind: macvlan, parent: {NIC}, mode: bridge, address: "{address}", '
        "state: up, xdp: {policy: web}}"
        for name, address in DEVICES.items()
    ]
    lines += ["policies:", *policy_lines("web", passing((IPERF_PORT, ROUND_TRIP_PORT)))]
    file = folder / f"{TOPOLOGY}.yaml"
    file.write_text("\n".join(lines) + "\n", "ascii")
    return str(file)


def _create(host: str) -> None:
    """The same devices, without policies."""
    cable.batch(host, [
        f"link add link {NIC} name {name} address {address} type macvlan mode bridge"
        for name, address in DEVICES.items()
    ])  # fmt: skip


@contextmanager
def _connected(name: str) -> Iterator[cable.Pair]:
    """A NIC and its wire, with GRO on as drivers of NICs have it, and a veth has not: without,
    TCP goes frame by frame up the whole stack.
    """
    with cable.connected(name.replace(" ", "-")) as pair:
        with netns.entered(pair.host):
            enable_gro(NIC)
        yield pair


@contextmanager
def _reached(
    name: str, pair: cable.Pair, check: Callable[[int], None] = lambda _: None
) -> Iterator[Passer]:
    """Sockets on the first macvlan, whose namespace is the NIC's, and the station's sender."""
    (device, mac), address = next(iter(DEVICES.items())), ADDRESSES["web0"]
    cable.address(pair.host, device, address)
    to = bytes.fromhex(mac.replace(":", ""))
    template = datagram(to, PORT, saddr=STATION, daddr=address)
    with ExitStack() as stack:
        with netns.entered(pair.station):
            sender = Sender(template, DESTINATION, [to] * BATCH, socket.if_nametoindex(WIRE))
        stack.enter_context(sender)
        with netns.entered(pair.host):
            arrived = stack.enter_context(closing(Datagrams(address, PORT)))
        stack.enter_context(servers(pair.host, address))
        yield Passer(name, pair.station, pair.host, address, sender, arrived, check)


@contextmanager
def lone(
    name: str = "lone XDP_PASS", mode: int = links.XDP_FLAGS_DRV_MODE, *, with_tc: bool = False
) -> Iterator[Passer]:
    """A program that passes every frame, and the macvlans without policies.

    with_tc  also an empty tc program at the macvlan: what any backstop costs that stands there
    """
    with _connected(name) as pair, ExitStack() as stack:
        _create(pair.host)
        passing_on = stack.enter_context(verdict(XDP_PASS))
        with netns.entered(pair.host):
            index = socket.if_nametoindex(NIC)
            stack.enter_context(links.create(passing_on.fd, index, links.Hook.XDP, mode))
            if with_tc:
                _hang(next(iter(DEVICES)), stack.enter_context(verdict(TC_NEXT, Flavour.TC)))
        yield stack.enter_context(_reached(name, pair))


def _hang(device: str, gate: Program) -> None:
    """The program at the device's tc ingress, in the namespace that the caller is in."""
    index = socket.if_nametoindex(device)
    with Rtnl() as rtnl:
        rtnl.request(clsact.add_qdisc(index), f"add clsact to {device}")
        rtnl.request(clsact.add_filter(index, gate.fd), f"add a filter to {device}")


def _take_off(host: str) -> None:
    """The backstop off all devices."""
    with netns.entered(host), Rtnl() as rtnl:
        for device in DEVICES:
            index = socket.if_nametoindex(device)
            rtnl.request(clsact.delete_qdisc(index), f"take clsact off {device}")


@contextmanager
def nobody() -> Iterator[Passer]:
    """The macvlans without policies, and no program on the NIC."""
    with _connected("nobody") as pair:
        _create(pair.host)
        with _reached("no XDP", pair) as found:
            yield found


@contextmanager
def xdpctl(folder: Path, name: str = "xdpctl", *, policed: bool = True) -> Iterator[Passer]:
    """The pipeline on the NIC, the backstop at the macvlans.

    policed  without, the backstop is taken off again: what the pipeline costs by itself
    """
    with _connected(name) as pair:
        run(*XDPCTL, "--netns", pair.host, "apply", "--yes", _write(folder))
        if not policed:
            _take_off(pair.host)
        with _reached(name, pair, lambda sent: _check(pair.host, sent)) as found:
            if not is_silent(pair.station, found.address):
                raise SystemExit("xdpctl: what the policy does not pass has arrived")
            yield found


def _check(host: str, sent: int) -> None:
    """What `xdpctl show` has counted for the socket's macvlan."""
    shown = json.loads(run(*XDPCTL, "--netns", host, "-o", "json", "show", TOPOLOGY).stdout)
    found = shown["devices"]["web0"]["xdp"]
    rules = {each["name"]: each["packets"] for each in found["rules"]}
    if rules[LAST] != sent or not rules["asked"]:
        raise SystemExit(
            f"xdpctl counted {rules[LAST]} of {sent} datagrams and {rules['asked']} segments passed"
        )


@contextmanager
def siblings(folder: Path | None) -> Iterator[Way]:
    """Two macvlans in namespaces of their own; with a folder, with policies and backstop.

    A device that goes to another namespace loses its qdiscs, so the backstop's program is put
    there again.
    """
    name = "siblings" if folder is None else "policed"
    with ExitStack() as stack:
        pair = stack.enter_context(_connected(name))
        if folder is None:
            _create(pair.host)
        else:
            run(*XDPCTL, "--netns", pair.host, "apply", "--yes", _write(folder))
        rooms = []
        for device, address in ADDRESSES.items():
            room = stack.enter_context(cable.room(f"{pair.host}-{device}"))
            cable.prepare(room)
            _move(pair.host, room, device, policed=folder is not None)
            cable.address(room, device, address)
            rooms.append(room)
        server, client = rooms
        found = Way(name, client, server, ADDRESSES["web0"])
        stack.enter_context(servers(server, found.address))
        if is_silent(client, found.address) != (folder is not None):
            raise SystemExit(f"{name}: the backstop is where it should not be, or is not")
        yield found


def _move(host: str, room: str, device: str, *, policed: bool) -> None:
    with ExitStack() as stack:
        if policed:
            with netns.entered(host), Rtnl() as rtnl:
                number = clsact.program_id(rtnl, socket.if_nametoindex(device))
            if number is None:
                raise SystemExit(f"{device} has no backstop")
            gate = stack.enter_context(program.open_id(number))
        run("ip", "-n", host, "link", "set", device, "netns", room)
        if policed:
            with netns.entered(room):
                _hang(device, gate)
