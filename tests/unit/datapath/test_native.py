"""Who runs XDP natively, as far as the driver's features and the MTU tell."""

from __future__ import annotations

import pytest

from xdpctl.datapath.native import ONE_PAGE, native_support
from xdpctl.host.state import Link
from xdpctl.topology.model import Device, Location

BASIC = frozenset({"basic", "redirect", "ndo-xmit"})
"""As ixgbe has them, or a tap."""


def support(kind: str, live: int, wanted: int | None, features: frozenset[str]) -> tuple[bool, str]:
    given = {} if wanted is None else {"mtu": wanted}
    device = Device("eth0", "physical", Location("f.yaml", 1, 1), properties=given)
    found = native_support(device, Link(2, "eth0", kind, {"mtu": live}), features)
    return found.native, found.reason


@pytest.mark.parametrize(("live", "wanted"), [(9000, None), (1500, 9000), (9000, ONE_PAGE + 1)])
def test_a_large_mtu_needs_frags(live: int, wanted: int | None) -> None:
    native, reason = support("", live, wanted, BASIC)
    assert not native
    assert reason == (
        f"mtu {wanted or live} needs frags, which its driver has not (rx-sg): "
        f"native XDP goes up to {ONE_PAGE} there"
    )
    assert support("", live, wanted, BASIC | {"rx-sg"})[0]
    assert support("tun", live, wanted, BASIC)[0]


@pytest.mark.parametrize(("live", "wanted"), [(ONE_PAGE, None), (9000, 1500)])
def test_what_fits_a_page_needs_none(live: int, wanted: int | None) -> None:
    assert support("", live, wanted, BASIC) == (True, "its driver runs XDP natively")
