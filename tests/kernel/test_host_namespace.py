"""Namespaces, matching a NIC, XDP features, addresses, and the kernel's own words."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from xdpctl.errors import ConflictError, KernelError, MissingError
from xdpctl.host import addresses, links, match
from xdpctl.host import netns as namespaces
from xdpctl.host.features import xdp_features
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.snapshot import read
from xdpctl.topology.model import Device, Location

pytestmark = pytest.mark.kernel

OURS = Path("/proc/thread-self/ns/net")


def pair(netns: Netns, mac: str = "02:00:00:00:00:55") -> None:
    netns.ip("link", "add", "v0", "address", mac, "type", "veth", "peer", "name", "v1")


def test_we_are_inside_and_then_back_again(netns: Netns) -> None:
    before = OURS.stat().st_ino
    with netns.entered():
        assert namespaces.identify() == netns.name
        assert OURS.stat().st_ino == (Path("/run/netns") / netns.name).stat().st_ino != before
        assert read().netns == netns.name
    assert OURS.stat().st_ino == before


def test_we_are_back_after_an_error_too(netns: Netns) -> None:
    before, descriptors = OURS.stat().st_ino, len(os.listdir("/proc/self/fd"))
    with pytest.raises(RuntimeError), netns.entered():
        raise RuntimeError
    assert OURS.stat().st_ino == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_only_this_thread_moves(netns: Netns) -> None:
    before = OURS.stat().st_ino
    seen: list[int] = []
    other = threading.Event()

    def look() -> None:
        other.wait(5)
        seen.append(OURS.stat().st_ino)

    thread = threading.Thread(target=look)
    thread.start()
    with netns.entered():
        other.set()
        thread.join()
    assert seen == [before]


def test_no_name_is_where_we_are() -> None:
    before = OURS.stat().st_ino
    with namespaces.entered(None):
        assert OURS.stat().st_ino == before


def test_a_namespace_that_does_not_exist_is_named_with_the_nearest(netns: Netns) -> None:
    with pytest.raises(MissingError, match=rf"no network namespace {netns.name}x .*{netns.name}\?"):
        namespaces.entered(f"{netns.name}x").__enter__()
    for name in ("../netns", "", ".", "/etc"):
        with pytest.raises(MissingError):
            namespaces.entered(name).__enter__()


def test_a_namespace_without_a_name_is_known_by_its_inode(netns: Netns) -> None:
    with netns.entered():
        inode = OURS.stat().st_ino
        netns.run("umount", f"/run/netns/{netns.name}")
        os.unlink(f"/run/netns/{netns.name}")
        assert namespaces.identify() == f"net-{inode}"


@contextmanager
def also_called(name: str, namespace: Path) -> Iterator[None]:
    """One more name for a namespace, as `ip netns attach` gives it."""
    place = Path("/run/netns", name)
    place.touch(exist_ok=False)
    try:
        subprocess.run(["mount", "--bind", str(namespace), str(place)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)
        place.unlink()


def test_the_namespace_of_pid_1_is_the_host_by_whatever_name(
    netns: Netns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "FIRST", Path("/run/netns", netns.name))
    with netns.entered():
        assert namespaces.identify() == "host"


def test_of_several_names_the_first_in_order_counts(netns: Netns) -> None:
    last, first = f"{netns.name}-z", f"a-{netns.name}"
    with also_called(last, Path("/run/netns", netns.name)), namespaces.entered(last):
        assert namespaces.identify() == netns.name
    with also_called(first, Path("/run/netns", netns.name)), netns.entered():
        assert namespaces.identify() == f"a-{netns.name}"


@pytest.mark.parametrize("name", ["host", "net-1", "net-4026531840"])
def test_a_name_that_reads_as_another_namespace_does_not_count(
    netns: Netns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(namespaces, "DIRECTORY", tmp_path)
    (tmp_path / name).symlink_to(f"/run/netns/{netns.name}")
    with namespaces.entered(name):
        assert namespaces.identify() == f"net-{OURS.stat().st_ino}"
    (tmp_path / "nicer").symlink_to(f"/run/netns/{netns.name}")
    with namespaces.entered(name):
        assert namespaces.identify() == "nicer"


def test_a_nic_is_found_by_what_it_is(netns: Netns) -> None:
    pair(netns)
    netns.ip("link", "add", "link", "v0", "m0", "address", "02:00:00:00:00:55", "type", "macvlan",
             "mode", "passthru")  # fmt: skip
    with netns.entered(), Rtnl() as rtnl:
        assert match.resolve({"mac": "02-00-00-00-00-55"}, rtnl) == "v0"
        assert match.resolve({"mac": "02:00:00:00:00:55", "driver": "ve*"}, rtnl) == "v0"
        with pytest.raises(ConflictError, match=r"several devices have driver veth: v[01], v[01]"):
            match.resolve({"driver": "veth"}, rtnl)
        for one in ({"mac": "02:00:00:00:00:56"}, {"driver": "e1000e"}, {"path": "*"}):
            with pytest.raises(MissingError, match="there is no device with"):
                match.resolve(one, rtnl)


def test_xdp_features(netns: Netns) -> None:
    pair(netns)
    with netns.entered():
        index = {link.name: link.ifindex for link in read().links}
        found = xdp_features(index["v0"])
        if found is None:
            pytest.skip("this kernel does not tell (before 6.3)")
        assert {"basic", "redirect", "rx-sg"} <= found
        assert xdp_features(index["lo"]) == frozenset()
        with pytest.raises(KernelError):
            xdp_features(9999)


def test_the_kernels_own_sentence(netns: Netns) -> None:
    with netns.entered(), Rtnl() as rtnl:
        device = Device("m0", "macvlan", Location("", 1, 1), properties={"mode": "bridge"})
        with pytest.raises(KernelError) as caught:
            rtnl.request(links.create(device, lower=9999, group=1), "create macvlan m0")
        assert caught.value.errno in {errno.ENODEV, errno.EINVAL}
        device = Device("x0", "no-such-kind", Location("", 1, 1))
        with pytest.raises(KernelError, match="create x0: Unknown device type"):
            rtnl.request(links.create(device, group=1), "create x0")


def test_thousands_of_devices_in_one_dump(netns: Netns) -> None:
    pair(netns)
    with netns.entered(), Rtnl() as rtnl:
        nic = read().by_name["v0"].ifindex
        names = [f"m{number}" for number in range(1500)]
        requests = [
            (links.create(Device(name, "macvlan", Location("", 1, 1)), lower=nic, group=77), name)
            for name in names
        ]
        assert rtnl.batch(requests) == [None] * len(names)
        assert {*names, "lo", "v0", "v1"} == set(read().by_name)
        rtnl.request(links.delete_group(77), "delete them")
        assert {"lo", "v0", "v1"} == set(read().by_name)


def shown(netns: Netns) -> list[dict[str, object]]:
    ((device),) = netns.json("addr", "show", "dev", "v0")
    keys = ("family", "local", "prefixlen", "broadcast", "label", "nodad", "scope", "metric")
    return [{key: one.get(key) for key in keys} for one in device["addr_info"]]


def test_addresses_can_be_given_back(netns: Netns, netnses: Callable[[], Netns]) -> None:
    pair(netns)
    netns.ip("link", "set", "v1", "up")
    netns.ip("link", "set", "v0", "up")
    netns.ip("addr", "add", "192.0.2.1/24", "brd", "+", "label", "v0:one", "dev", "v0")
    netns.ip("addr", "add", "198.51.100.1", "peer", "198.51.100.2/30", "metric", "7", "dev", "v0")
    netns.ip("addr", "add", "2001:db8::1/64", "nodad", "dev", "v0")
    before = [one for one in shown(netns) if one["scope"] != "link"]
    with netns.entered(), Rtnl() as rtnl:
        nic = read().by_name["v0"].ifindex
        kept = addresses.read(nic, rtnl)
        assert len(kept) == 3, "the kernel's own link-local address is not ours to keep"
        netns.ip("addr", "flush", "dev", "v0")
        assert rtnl.batch([(addresses.add(nic, one), "add") for one in kept]) == [None] * 3
    assert [one for one in shown(netns) if one["scope"] != "link"] == before
    assert len(before) == 3
