"""Links that the kernel refuses for a reason that its own words do not tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kernel.conftest import Netns
from xdpctl.apply import run
from xdpctl.errors import ApplyError
from xdpctl.topology.load import load_texts

pytestmark = pytest.mark.kernel

HEAD = "version: 1\nname: edge\ndevices:\n  eth0: {kind: physical}\n"
KINDS = {
    "bond": "kind: bond, ports: [eth0]",
    "team": "kind: team, ports: [eth0]",
    "vlan": "kind: vlan, parent: eth0, id: 3",
    "dummy": "kind: dummy",
}
MACVLAN = 'kind: macvlan, parent: eth0, mode: bridge, state: up, address: "02:00:00:00:00:10"'


@pytest.fixture
def host(netns: Netns) -> Netns:
    """With a NIC."""
    netns.ip("link", "add", "eth0", "type", "veth", "peer", "name", "wire")
    return netns


def refused(host: Netns, line: str) -> ApplyError:
    topology = load_texts({"topo.yaml": f"{HEAD}  one0: {{{line}}}\n"})
    with host.entered(), pytest.raises(ApplyError) as told:
        run.apply(topology)
    return told.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_the_kernel_does_not_make(host: Netns, kind: str) -> None:
    if host.makes(kind):
        pytest.skip(f"this kernel makes {kind}")
    error = refused(host, KINDS[kind])
    assert str(error).startswith(f"create {kind} one0")
    said = f"topo.yaml:5:3: this kernel makes no {kind}, or not with these properties"
    assert error.hint == said


def test_the_address_of_one_that_nobody_sees(host: Netns, netnses: Callable[[], Netns]) -> None:
    far = netnses()
    host.batch(
        "link set eth0 up",
        "link add away link eth0 address 02:00:00:00:00:10 type macvlan mode bridge",
        f"link set away netns {far.name}",
    )
    far.up("away")
    error = refused(host, MACVLAN)
    assert "Address already in use" in str(error)
    said = "another device has its address; a macvlan may be in another network namespace"
    assert error.hint == said
