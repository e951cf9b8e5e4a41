"""Programs of somebody else's above a root: found when it is planned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.rig import OPPOSITE, Rig
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.program import Flavour, load
from xdpctl.errors import ConflictError
from xdpctl.host.rtnl import Rtnl
from xdpctl.host.xdp import NO_PROGRAM, set_xdp

pytestmark = pytest.mark.kernel

SKB_MODE = 1 << 1
SAID = (
    r"^topo.yaml:4:3: theirs, above eth0, has an XDP program that is not ours: theirs \(id \d+\), "
    r'attached over netlink; the kernel would say "Cannot attach when an upper device'
)


@contextmanager
def program_on(rig: Rig, device: str) -> Iterator[None]:
    """A generic program that passes everything, attached over netlink as iproute2 does."""
    asm = Assembler()
    asm.mov(R0, 2)
    asm.exit()
    index = int(rig.nic.json("link", "show", device)[0]["ifindex"])
    with load(asm.assemble(), Flavour.XDP, "theirs") as loaded, rig.nic.entered(), Rtnl() as rtnl:
        rtnl.request(set_xdp(index, loaded.fd, SKB_MODE), "attach")
        yield
        rtnl.request(set_xdp(index, NO_PROGRAM, SKB_MODE), "detach")


@pytest.fixture
def above(rig: Rig) -> str:
    """A macvlan of somebody's on the NIC."""
    rig.nic.ip("link", "add", "theirs", "link", "eth0", "type", "macvlan", "mode", "bridge")
    rig.nic.ip("link", "set", "theirs", "up")
    return "theirs"


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_program_above_a_root_is_a_conflict(rig: Rig, above: str, mode: str) -> None:
    text = OPPOSITE.replace("physical}", f"physical, xdp: {{mode: {mode}}}}}")
    with program_on(rig, above), pytest.raises(ConflictError, match=SAID) as told:
        rig.plan(text)
    assert told.value.hint == "take it off first: `ip link set DEVICE xdp off`"
    assert rig.apply(text).applied


def test_one_that_came_later_is_none_until_the_mode_changes(rig: Rig, above: str) -> None:
    rig.apply(OPPOSITE)
    with program_on(rig, above):
        assert rig.apply(OPPOSITE.replace("9000", "9005")).applied
        with pytest.raises(ConflictError, match=SAID):
            rig.plan(OPPOSITE.replace("physical}", "physical, xdp: {mode: generic}}"))
        rig.destroy()
