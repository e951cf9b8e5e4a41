"""A namespace with three NICs, in which topologies are applied and looked at from outside."""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.kernel.conftest import Netns
from tests.kernel.rig import read
from xdpctl.apply import run
from xdpctl.host import snapshot
from xdpctl.topology.model import Topology

NICS = ("eth1", "eth2", "eth3")
HEAD = "version: 1\nname: edge\ndevices:\n"
PHYSICAL = "".join(f"  {nic}: {{kind: physical, state: up}}\n" for nic in NICS)


def parsed(devices: str, more: str = "") -> Topology:
    """A topology of these devices, besides the NICs."""
    text = f"{HEAD}{PHYSICAL}{textwrap.indent(textwrap.dedent(devices), '  ')}{more}"
    return read(text, "stack.yaml")


@dataclass(frozen=True, slots=True)
class Stage:
    """The namespace; this thread is in it."""

    netns: Netns

    def apply(self, devices: str, more: str = "") -> run.Applied:
        """Apply, and see that a plan afterwards is empty."""
        done = run.apply(parsed(devices, more))
        assert self.steps(devices, more) == []
        return done

    def steps(self, devices: str, more: str = "") -> list[str]:
        """What there is to do."""
        made, _ = run.plan(parsed(devices, more))
        return [operation.summary() for operation in made.operations]

    def destroy(self) -> None:
        """Take everything away, and see that the namespace is as it was before."""
        run.destroy("edge", missing_ok=True)
        left = {link.name for link in snapshot.read().links}
        assert left == {"lo", *NICS, *(peer(nic) for nic in NICS)}
        assert not [link["ifname"] for link in self.netns.json("link") if "master" in link]

    def ip(self, device: str) -> dict[str, Any]:
        """What iproute2 says about a device."""
        (found,) = self.netns.json("link", "show", "dev", device)
        return dict(found)

    def data(self, device: str) -> dict[str, Any]:
        """What iproute2 says about the device's own kind of properties."""
        return dict(self.ip(device)["linkinfo"].get("info_data", {}))

    def own(self, device: str) -> dict[str, Any]:
        """Its properties as the project reads them."""
        return dict(snapshot.read().by_name[device].properties)

    def index(self, device: str) -> int:
        """The ifindex: another one tells that the device was made anew."""
        return socket.if_nametoindex(device)

    def ports(self, master: str) -> set[str]:
        """The names of a master's ports."""
        return {one["ifname"] for one in self.netns.json("link", "show", "master", master)}


def peer(nic: str) -> str:
    """The far end of a NIC."""
    return f"far-{nic}"


@contextmanager
def staged(netns: Netns) -> Iterator[Stage]:
    """The stage, with the NICs' links up."""
    netns.batch(
        *(f"link add {nic} type veth peer name {peer(nic)}" for nic in NICS),
        *(f"link set {peer(nic)} up" for nic in NICS),
    )
    with netns.entered():
        yield Stage(netns)
