"""Taps, which ioctls make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.conftest import Netns
from xdpctl.errors import KernelError
from xdpctl.host import links, tap
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.snapshot import read

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs the tun device"),
]


def test_a_tap_is_labelled_before_it_is_there_to_stay(netns: Netns) -> None:
    with netns.entered(), Rtnl() as rtnl:
        with tap.creating("t0", {"user": 1000, "multi_queue": True}) as ifindex:
            rtnl.request(links.change(ifindex, "tap", alias="xdpctl:test"), "label t0")
        link = read().by_name["t0"]
    assert (link.kind, link.alias, link.ifindex) == ("tap", "xdpctl:test", ifindex)
    assert link.properties["user"] == 1000
    assert link.properties["multi_queue"] is True


def test_a_tap_whose_labelling_fails_is_gone(netns: Netns) -> None:
    with netns.entered():
        with pytest.raises(RuntimeError), tap.creating("t0", {}):
            raise RuntimeError
        assert "t0" not in read().by_name


def test_a_name_that_is_taken_is_refused(netns: Netns) -> None:
    with netns.entered():
        with tap.creating("t0", {}):
            pass
        with pytest.raises(KernelError, match="File exists"), tap.creating("t0", {}):
            pass
        assert "t0" in read().by_name


@pytest.mark.parametrize("multi_queue", [False, True])
def test_user_and_group_change_in_place(netns: Netns, multi_queue: bool) -> None:
    with netns.entered():
        with tap.creating("t0", {"multi_queue": multi_queue, "vnet_hdr": True}) as ifindex:
            pass
        before = read().by_name["t0"].properties
        tap.change("t0", before, {"user": 1001, "group": 7})
        link = read().by_name["t0"]
    assert link.ifindex == ifindex
    assert link.properties == {**before, "user": 1001, "group": 7}


def test_a_tun_is_not_a_tap(netns: Netns) -> None:
    netns.run("ip", "tuntap", "add", "dev", "t1", "mode", "tun")
    with netns.entered():
        assert read().by_name["t1"].kind == "tun"
