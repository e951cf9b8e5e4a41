"""bpf_links that others make and end while all of them are looked through."""

from __future__ import annotations

from threading import Thread

import pytest

from tests.kernel.rig import Rig
from xdpctl.bpf import links
from xdpctl.bpf.asm import R0, Assembler
from xdpctl.bpf.program import Flavour, load

pytestmark = pytest.mark.kernel

TIMES = 40


def test_one_that_is_being_made_is_no_error(rig: Rig) -> None:
    """It has an id before it can be opened: the kernel says EAGAIN until it is attached."""
    asm = Assembler()
    asm.mov(R0, 2)
    asm.exit()
    ifindex = int(rig.nic.json("link", "show", "eth0")[0]["ifindex"])
    made = set()

    def attach() -> None:
        with load(asm.assemble(), Flavour.XDP, "theirs") as loaded, rig.nic.entered():
            for _ in range(TIMES):
                with links.create(
                    loaded.fd, ifindex, links.Hook.XDP, links.XDP_FLAGS_DRV_MODE
                ) as one:
                    made.add(one.info.id)
                    one.detach()  # whoever has it open just now

    thread = Thread(target=attach)
    thread.start()
    seen = set()
    while thread.is_alive():
        for number, link in links.every():
            link.close()
            seen.add(number)
    thread.join()
    assert len(made) == TIMES
    assert made & seen
