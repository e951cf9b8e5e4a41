"""What was read once is what reading anew would give, whoever has changed it meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from tests.kernel.conftest import Netns
from xdpctl.bpf import program
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.links import XDP_FLAGS_SKB_MODE, Hook, create
from xdpctl.bpf.program import Flavour, Program
from xdpctl.host import clsact, links
from xdpctl.host.likeness import decode_all
from xdpctl.host.mirror import FEW, Mirror
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.state import Link

pytestmark = pytest.mark.kernel

NIC = ["link add eth0 type veth peer name wire0", "link set wire0 up", "link set eth0 up"]


def macvlans(number: int, *, up: bool = True) -> list[str]:
    made = [f"link add m{one} link eth0 type macvlan mode bridge" for one in range(number)]
    return [*made, *(f"link set m{one} up" for one in range(number if up else 0))]


@contextmanager
def mirrored(netns: Netns, *lines: str) -> Iterator[Mirror]:
    """A namespace with these devices, all of which have been read once."""
    netns.without_ipv6()
    netns.batch(*NIC, *lines)
    with netns.entered(), Mirror() as mirror:
        assert by_index(mirror.links()) == anew()
        yield mirror


def by_index(found: Sequence[Link]) -> dict[int, Link]:
    assert len({one.ifindex for one in found}) == len(found)
    return {one.ifindex: one for one in found}


def anew() -> dict[int, Link]:
    with Rtnl() as rtnl:
        return by_index(decode_all(rtnl.links()))


OTHERS = [
    "link set m1 address 02:00:00:00:00:77",
    "link set m1 mtu 1400",
    "link set m1 alias mine",
    "link set m1 group 7",
    "link set m1 down",
    "link set m1 type macvlan mode vepa",
    "link set m1 type macvlan bcqueuelen 77",
    "link set m1 txqueuelen 5",
    "link set m1 promisc on",
    "link add m9 link eth0 type macvlan mode private",
    "link delete m1",
    "link set eth0 mtu 1300",
    "link set wire0 alias other",
    "link delete eth0",
    "link add br0 type bridge",
    "tuntap add tap0 mode tap user 7",
]


@pytest.mark.parametrize("line", OTHERS)
def test_what_others_do(netns: Netns, line: str) -> None:
    with mirrored(netns, *macvlans(4)) as mirror:
        before = anew()
        netns.ip(*line.split())
        assert by_index(mirror.links()) == anew() != before
        assert by_index(mirror.links()) == anew()


def test_a_renamed_and_a_moved_one(netns: Netns, netnses: Callable[[], Netns]) -> None:
    other = netnses()
    with mirrored(netns, *macvlans(4)) as mirror:
        netns.batch("link set m2 down", "link set m2 name w2", f"link set m3 netns {other.name}")
        found = by_index(mirror.links())
        assert found == anew()
        assert {one.name for one in found.values()} == {"lo", "eth0", "wire0", "m0", "m1", "w2"}
        other.ip("link", "set", "m3", "netns", netns.name)
        assert by_index(mirror.links()) == anew() != found


def test_of_one_that_is_down_only_what_was_announced(netns: Netns) -> None:
    """The kernel tells nothing of a label: that is why writers say where they write."""
    with mirrored(netns, *macvlans(2, up=False)) as mirror:
        mirror.touch(["m1", "m5"])
        for change in ("alias xdpctl:one", "alias xdpctl:two", "gso_max_size 30000"):
            netns.ip("link", "set", "m1", *change.split())
            assert by_index(mirror.links()) == anew()
        netns.ip("link", "add", "m5", "link", "eth0", "type", "macvlan", "mode", "bridge")
        assert by_index(mirror.links()) == anew()
        netns.ip("link", "set", "m5", "alias", "xdpctl:new")
        assert by_index(mirror.links()) == anew()


def test_an_xdp_program_of_a_macvlan(netns: Netns) -> None:
    """The kernel tells nothing of a link that comes, runs another program, or goes."""
    with mirrored(netns, *macvlans(2)) as mirror, ExitStack() as opened:
        made = [opened.enter_context(loaded(Flavour.XDP)) for _ in range(2)]
        ifindex = socket.if_nametoindex("m1")
        mirror.touch(["m1"])
        link = create(made[0].fd, ifindex, Hook.XDP, XDP_FLAGS_SKB_MODE)
        seen = [by_index(mirror.links())]
        assert seen[-1] == anew()
        link.update(made[1].fd)
        seen.append(by_index(mirror.links()))
        assert seen[-1] == anew()
        link.detach()
        seen.append(by_index(mirror.links()))
        assert seen[-1] == anew()
        programs = [one[ifindex].xdp for one in seen]
        assert [one and one.program_id for one in programs] == [
            *(one.info.id for one in made), None,
        ]  # fmt: skip
        link.close()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is asked of the kernel from here on: 0 for all links, else how many were asked for."""
    asked: list[int] = []
    dump, some, filters = Rtnl.links, Rtnl.some, clsact.program_ids

    def links_(rtnl: Rtnl) -> list[bytes]:
        asked.append(0)
        return dump(rtnl)

    def some_(rtnl: Rtnl, devices: Sequence[int]) -> list[object]:
        asked.append(len(devices))
        return list(some(rtnl, devices))

    def filters_(rtnl: Rtnl, devices: Sequence[int], hook: int) -> dict[int, int]:
        asked.append(len(devices))
        return filters(rtnl, devices, hook)

    monkeypatch.setattr(Rtnl, "links", links_)
    monkeypatch.setattr(Rtnl, "some", some_)
    monkeypatch.setattr(clsact, "program_ids", filters_)
    return asked


def test_few_are_read_again(netns: Netns, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirrored(netns, *macvlans(300)) as mirror:
        asked = counted(monkeypatch)
        netns.ip("link", "set", "m7", "mtu", "1400")
        netns.ip("link", "add", "m300", "link", "eth0", "type", "macvlan", "mode", "bridge")
        found = by_index(mirror.links())
        assert asked == [5]  # the two, and lo, eth0, wire0
        assert found == anew()
        mirror.touch(f"m{number}" for number in range(FEW))
        assert by_index(mirror.links()) == anew()
        assert asked == [5, 0, 0, 0]


def overrun(netns: Netns) -> None:
    """More news of m0 than there is room for: what happens next is not heard."""
    netns.batch(*(f"link set m0 mtu {1400 + number % 2}" for number in range(2000)))


def test_news_of_a_link_that_are_lost(netns: Netns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdpctl.host.mirror.FEW", 10_000)
    with mirrored(netns, *macvlans(3)) as mirror:
        asked = counted(monkeypatch)
        overrun(netns)
        netns.ip("link", "set", "m1", "mtu", "1300")
        netns.ip("link", "delete", "m2")
        assert by_index(mirror.links()) == anew()
        assert asked == [0, 0]
        netns.ip("link", "set", "m1", "mtu", "1400")
        assert by_index(mirror.links()) == anew()
        assert asked == [0, 0, 4, 0]


def test_news_of_a_gate_that_are_lost(netns: Netns, gates: tuple[Program, Program]) -> None:
    with mirrored(netns, *macvlans(2)) as mirror, Rtnl() as rtnl:
        ifindex = socket.if_nametoindex("m1")
        rtnl.request(clsact.add_qdisc(ifindex), "add clsact")
        rtnl.request(clsact.add_filter(ifindex, gates[0].fd), "add a filter")
        assert mirror.program_ids([ifindex], clsact.INGRESS) == {ifindex: gates[0].info.id}
        overrun(netns)
        rtnl.request(clsact.delete_filter(ifindex), "delete it")
        assert mirror.program_ids([ifindex], clsact.INGRESS) == {}


def loaded(flavour: Flavour) -> Program:
    """A program that returns 0."""
    asm = Assembler()
    asm.mov(R0, 0)
    asm.exit()
    return program.load(asm.assemble(), flavour, "nothing")


@pytest.fixture
def gates() -> Iterator[tuple[Program, Program]]:
    with loaded(Flavour.TC) as one, loaded(Flavour.TC) as other:
        yield one, other


@pytest.mark.parametrize("hook", [clsact.INGRESS, clsact.EGRESS])
def test_gates(netns: Netns, gates: tuple[Program, Program], hook: int) -> None:
    with mirrored(netns, *macvlans(3)) as mirror, Rtnl() as rtnl:
        devices = [one.ifindex for one in mirror.links() if one.kind == "macvlan"]
        first, second, _ = devices

        def differs_by(*requests: bytes) -> dict[int, int]:
            before = mirror.program_ids(devices, hook)
            assert before == clsact.program_ids(rtnl, devices, hook)
            for one in requests:
                rtnl.request(one, "change gates")
            found = mirror.program_ids(devices, hook)
            assert found == clsact.program_ids(rtnl, devices, hook) != before
            return found

        old, new = (one.info.id for one in gates)
        added = [clsact.add_qdisc(first), clsact.add_filter(first, gates[0].fd, hook)]
        assert differs_by(*added) == {first: old}
        added = [clsact.add_qdisc(second), clsact.add_filter(second, gates[1].fd, hook)]
        assert differs_by(*added) == {first: old, second: new}
        assert differs_by(clsact.add_filter(first, gates[1].fd, hook)) == {first: new, second: new}
        assert differs_by(clsact.delete_filter(first, hook)) == {second: new}
        assert differs_by(clsact.add_filter(first, gates[0].fd, hook)) == {first: old, second: new}
        assert differs_by(clsact.delete_qdisc(second)) == {first: old}
        assert differs_by(links.delete(first)) == {}


def test_gates_are_asked_for_once(
    netns: Netns, gates: tuple[Program, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirrored(netns, *macvlans(3)) as mirror, Rtnl() as rtnl:
        asked = counted(monkeypatch)
        devices = [one.ifindex for one in mirror.links() if one.kind == "macvlan"]
        asked.clear()
        for _ in range(2):
            assert mirror.program_ids(devices, clsact.INGRESS) == {}
        rtnl.request(clsact.add_qdisc(devices[0]), "add clsact")
        rtnl.request(clsact.add_filter(devices[0], gates[0].fd), "add a filter")
        for _ in range(2):
            assert mirror.program_ids(devices, clsact.INGRESS) == {devices[0]: gates[0].info.id}
        assert asked == [3, 1]
